"""Certificates by ball arithmetic: proven where closed forms know the answer, refused where nothing can be proven."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import gflow
from gflow.certify.balls import eigenvalue_signs, exact, exact_rank, largest, proven_zero, rank_at_least
from gflow.certify.slices import residual_support
from gflow.data import example
from gflow.report.certificates import certificate_table
from gflow.statements import Evidence

GAP = np.nan


@cache
def saddles(name: str) -> tuple[gflow.Saddle, ...]:
    return gflow.saddle_to_saddle(example(name)).saddles


@cache
def proofs(name: str) -> tuple[gflow.Certificate, ...]:
    return gflow.certificates(example(name), saddles(name))


def factors(M: np.ndarray, chosen: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the balanced factors of the sum of the chosen singular triples."""
    U, sigma, Vt = np.linalg.svd(M)
    root = np.sqrt(sigma[chosen])
    return U[:, chosen] * root, root[:, None] * Vt[chosen]


def test_the_radius_bounds_the_distance_from_the_critical_point_in_closed_form() -> None:
    A, B = np.array([[1.4]]), np.array([[1.4285]])
    proof = gflow.certified_critical_point(gflow.MatrixCompletion([[2.0]]), A, B, radius_tol=1e-3)
    distance = abs(Fraction(2) / Fraction(1.4) - Fraction(1.4285))
    assert proof.exists and proof.unique and proof.radius is not None
    assert distance <= Fraction(proof.radius) <= 3 * distance
    assert (proof.negative_eigenvalues, proof.zero_eigenvalues) == (0, 1)


@settings(max_examples=40)
@given(st.lists(st.integers(-5, 5), min_size=12, max_size=12), st.sets(st.integers(0, 2), min_size=1))
def test_every_choice_of_singular_triples_of_a_full_matrix_has_its_index_proven(
    entries: list[int], S: set[int]
) -> None:
    M, chosen = np.array(entries, dtype=float).reshape(3, 4), sorted(S)
    sigma = np.linalg.svd(M, compute_uv=False)
    rank = exact_rank(M)
    assume(rank == 0 or (max(chosen) < rank and np.diff(-sigma[: rank + 1]).min(initial=1.0) > 0.05))
    if rank == 0:
        chosen = []
    proof = gflow.certified_critical_point(gflow.MatrixCompletion(M), *factors(M, chosen))
    left = [j for j in range(rank) if j not in chosen]
    inside = sum(j < i for i in chosen for j in left)
    assert proof.exists and proof.unique
    assert proof.negative_eigenvalues == inside + (3 - len(chosen)) * len(left)
    assert proof.zero_eigenvalues == len(chosen) ** 2 + (3 - len(chosen)) * (7 - 2 * len(left))


@pytest.mark.parametrize(
    ("name", "negative", "zero"),
    [
        ("fig3", [16, 9, 4, 0], [0, 7, 12, 17]),
        ("fig4", [3, 0, 3, 0], [6, 9, 0, 5]),
        ("c4", [16, 9, 4, 0], [0, 7, 12, 17]),
        ("c1", [16, 9], [0, 7]),
        ("slides1", [4, 2, None], [0, 3, None]),
        ("slides3", [4, 0], [0, 5]),
        ("m3", [9, 2, None], [0, 9, None]),
    ],
)
def test_counts_of_the_published_matrices_are_proven(name: str, negative: list[Any], zero: list[Any]) -> None:
    assert [proof.negative_eigenvalues for proof in proofs(name)] == negative
    assert [proof.zero_eigenvalues for proof in proofs(name)] == zero
    assert [proof.exists for proof in proofs(name)] == [count is not None for count in negative]


@pytest.mark.parametrize("name", ["fig3", "c4", "m3"])
def test_proven_counts_are_those_of_the_dense_hessian(name: str) -> None:
    problem = example(name)
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    certified = [(s, p) for s, p in zip(saddles(name), proofs(name), strict=True) if p.exists and s.loss > 0]
    assert len(certified) >= 2
    for saddle, proof in certified:
        values = np.linalg.eigvalsh(objective.hessian(saddle.embed(model)))
        assert (values < -1e-7).sum() == proof.negative_eigenvalues
        assert (np.abs(values) <= 1e-7).sum() == proof.zero_eigenvalues


def test_published_saddles_are_proven_within_rounding_and_a_soft_end_within_its_softness() -> None:
    assert max(proof.radius or 0.0 for proof in proofs("fig3")) < 1e-12
    assert [proof.residual_rank for proof in proofs("fig3")] == [(4, 4), (3, 3), (2, 2), (0, 0)]
    soft = proofs("c4")[-1]
    assert soft.residual_rank == (0, 0) and soft.radius is not None and soft.radius < 1e-6


def test_a_completion_that_is_not_isolated_is_not_certified() -> None:
    proof = proofs("m3")[-1]
    assert not proof.exists and not proof.unique and proof.radius is None
    assert proof.negative_eigenvalues is None and proof.negative_bounds is None and proof.zero_eigenvalues is None
    assert proof.reason.startswith("not certified: not isolated: up to rounding, 2 directions")
    assert json.loads(json.dumps(proof.to_dict(), allow_nan=False))["radius"] is None
    assert "not isolated" in repr(proof)


def test_a_residual_whose_rank_is_not_proven_leaves_bounds() -> None:
    A, B = np.array([[1.0], [0.0], [3.0]]), np.array([[1.0, 0.0, 3.0]])
    proof = gflow.certified_critical_point(example("fig4"), A, B)
    assert proof.exists and proof.inside_negative == 1 and proof.residual_rank == (1, 2)
    assert proof.negative_eigenvalues is None and proof.negative_bounds == (3, 5)
    assert "rank of the residual is only known to lie in 1..2" in proof.reason


@pytest.mark.parametrize("size", [1e-145, 1e145])
def test_radii_scale_with_the_root_of_the_matrix_and_counts_do_not_change(size: float) -> None:
    problem = example("fig3").rescaled(size)
    found = gflow.certificates(problem, gflow.saddle_to_saddle(problem).saddles)
    assert [proof.negative_eigenvalues for proof in found] == [16, 9, 4, 0]
    assert all((proof.radius or 0.0) < 1e-12 * np.sqrt(size) for proof in found)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_another_gauge_and_the_transpose_give_the_same_counts(seed: int) -> None:
    problem, saddle = example("fig3"), saddles("fig3")[2]
    Q = np.random.default_rng(seed).standard_normal((2, 2))
    assume(np.linalg.cond(Q) < 20)
    moved = gflow.certified_critical_point(problem, saddle.A @ Q, np.linalg.solve(Q, saddle.B))
    turned = gflow.certified_critical_point(problem.transpose, saddle.B.T, saddle.A.T)
    assert moved.exists and moved.negative_eigenvalues == turned.negative_eigenvalues == 4


@pytest.mark.parametrize("shift", [1e-2, 1e-3, 1e-5])
def test_a_wrong_point_is_never_certified_within_less_than_its_error(shift: float) -> None:
    problem, saddle = example("fig3"), saddles("fig3")[2]
    A = saddle.A + shift * np.arange(8).reshape(4, 2) / 7
    proof = gflow.certified_critical_point(problem, A, saddle.B)
    assert not proof.exists and proof.negative_eigenvalues is None and proof.reason.startswith("not certified")
    loose = gflow.certified_critical_point(problem, A, saddle.B, radius_tol=1.0)
    assert loose.exists is (shift < 1e-2)
    assert not loose.exists or 0.1 * shift < (loose.radius or 0.0)


def test_a_point_without_a_critical_point_nearby_and_one_of_lower_rank_are_refused() -> None:
    problem = example("fig3")
    far = gflow.certified_critical_point(problem, np.ones((4, 1)), -np.ones((1, 4)))
    assert not far.exists and "no zero of the gradient" in far.reason
    low = gflow.certified_critical_point(problem, np.ones((4, 2)), np.ones((2, 4)))
    assert not low.exists and "A is not proven to have rank 2" in low.reason


def test_a_zero_of_a_field_is_proven_only_where_there_is_one() -> None:
    def parabola(constant: float) -> Any:
        shift = exact(np.array([constant]))
        return lambda x: (x * x - shift, (2 * x)[:, None])

    found = proven_zero(parabola(2.0), exact(np.array([1.41421356])))
    assert found is not None
    assert found[0][0] ** 2 - 2 < 1e-12 and (found[0][0] ** 2).contains(2) and 2e-9 < found[1] < 1e-8
    assert proven_zero(parabola(-1e-12), exact(np.array([1e-5]))) is None
    assert proven_zero(parabola(0.0), exact(np.array([1e-8]))) is None
    assert proven_zero(parabola(0.0), exact(np.array([0.0]))) is None


def test_signs_and_ranks_are_refused_where_zero_cannot_be_excluded() -> None:
    v = np.array([[1.0, 2.0, 3.0]])
    assert eigenvalue_signs(exact(np.diag([1e-9, -1.0, 1e6]))) == (1, 2)
    assert eigenvalue_signs(exact(v.T @ v)) is None
    wide = exact(np.diag([1.0, -1e-3])) + exact(np.ones((2, 2))) * 1e-2 * (exact(np.zeros(1))[0] + 1).union(-1)
    assert eigenvalue_signs(wide) is None
    assert rank_at_least(exact(v.T @ v), 3) == 1 and rank_at_least(exact(np.zeros((2, 3))), 2) == 0
    assert rank_at_least(wide, 2) == 1
    assert exact_rank(np.array([[0.1, 0.3], [0.3, 0.9]])) == 2
    assert exact_rank(np.array([[0.125, 0.25], [0.375, 0.75]])) == 1
    assert largest(exact(np.array([-3.0, 2.0]))) >= 3.0


def test_the_mask_and_the_factors_bound_where_the_residual_lives() -> None:
    saddle = saddles("m3")[1]
    support = residual_support(example("m3").observed, exact(saddle.A), exact(saddle.B))
    assert support.tolist() == [[True, True, False], [True, True, False], [False, False, False]]


def table_column(table: Any, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


def test_the_report_shows_the_proven_index_and_notices_a_wrong_one() -> None:
    study = Evidence.of(example("fig3"))
    table = certificate_table(study)
    assert table_column(table, "critical point") == ["certified"] * 4
    assert table_column(table, "index proven") == table_column(table, "index") == [16, 9, 4, 0]
    assert table_column(table, "agree") == [True] * 4
    wrong = [replace(saddle, index=saddle.index + 1) for saddle in saddles("fig3")]
    assert table_column(certificate_table(study, wrong), "agree") == [False] * 4


def test_without_python_flint_the_report_says_not_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(gflow.FlintMissing, match=r"pip install 'gflow-toolkit\[certify\]'"):
        gflow.certified_critical_point(example("fig3"), saddles("fig3")[1].A, saddles("fig3")[1].B)
    assert issubclass(gflow.FlintMissing, ImportError)
    table = certificate_table(Evidence.of(example("slides3")))
    assert table_column(table, "critical point") == ["not certified (python-flint is not installed)"] * 2
    assert table_column(table, "index proven") == [None, None]


def test_the_module_loads_without_python_flint() -> None:
    code = "import sys, gflow.certify, gflow; gflow.Certificate; sys.exit('flint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"A": np.ones((2, 1))},
            r"A and B must have shapes \(4, k\) and \(k, 4\) with k <= 4; got \(2, 1\) and \(1, 4\)",
        ),
        ({"A": np.full((4, 1), GAP)}, "A and B must be finite"),
        ({"width": 0}, "width must be at least the rank 1 of the point; got 0"),
        ({"radius_tol": 0.0}, "radius_tol must be positive; got 0.0"),
        ({"precision": 53}, "precision must be at least 64 bits; got 53"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"A": np.ones((4, 1)), "B": np.ones((1, 4))} | changes
    with pytest.raises(ValueError, match=message):
        gflow.certified_critical_point(example("fig3"), **arguments)
