"""gflow.symbolic: the differentiated flow against closed forms, exact identities, and wrong formulas found out."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import networkx as nx
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from gflow.models import Factorization
from gflow.problems import MatrixCompletion
from gflow.symbolic import (
    CLOSED_FORMS,
    decoupled_systems,
    equations_latex,
    equations_text,
    general_identities,
    identities,
    lambdified_field,
    lambdified_hessian,
    symbolic_flow,
)

NAMES = [
    "ode",
    "hessian",
    "deviation",
    "conservation",
    "decoupling",
    "omega-invariance",
    "omega-reduction",
    "sub-omega-invariance",
]
NAN = float("nan")
M1 = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
M2 = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
M3 = [[1, 1, 0], [1, 1, 0], [1, 0, 1]]
FIGURE_4 = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
M2_VALUES = [[1, 2, NAN], [3, 4, NAN], [NAN, NAN, 5]]


def violated(results: Any) -> set[str]:
    return {identity.name for identity in results if not identity.holds}


def mask_classes(d1: int, d2: int) -> list[np.ndarray]:
    """Return one mask of every class of non-empty d1 x d2 masks under row and column permutations."""
    seen: dict[bytes, np.ndarray] = {}
    for bits in product((0, 1), repeat=d1 * d2):
        mask = np.array(bits, dtype=np.uint8).reshape(d1, d2)
        orbit = (mask[np.ix_(p, q)] for p in permutations(range(d1)) for q in permutations(range(d2)))
        key = min(image.tobytes() for image in orbit)
        seen.setdefault(key, mask)
    return [mask for mask in seen.values() if mask.any()]


def test_the_flow_of_a_single_entry_is_the_textbook_one() -> None:
    flow = symbolic_flow([[True]])
    a, b, m = sp.symbols("a_11 b_11 m_11")
    assert flow.variables == (a, b)
    assert sp.expand(flow.loss - (a * b - m) ** 2) == 0
    assert (flow.field - sp.Matrix([-2 * (a * b - m) * b, -2 * (a * b - m) * a])).expand() == sp.zeros(2, 1)
    hessian = sp.Matrix([[2 * b**2, 4 * a * b - 2 * m], [4 * a * b - 2 * m, 2 * a**2]])
    assert (flow.hessian - hessian).expand() == sp.zeros(2, 2)
    assert flow.jacobian == -flow.hessian


def test_there_are_as_many_mask_classes_as_burnside_counts() -> None:
    assert [len(mask_classes(*shape)) for shape in ((2, 2), (2, 3))] == [6, 12]


@pytest.mark.parametrize("mask", [*mask_classes(2, 2), *mask_classes(2, 3)], ids=lambda m: str(m.tolist()))
def test_every_identity_holds_for_every_mask_with_two_rows(mask: np.ndarray) -> None:
    for k in (1, 2):
        results = identities(mask, k=k)
        assert [identity.name for identity in results] == NAMES
        assert violated(results) == set()


@pytest.mark.parametrize(
    ("mask", "rank", "k"),
    [
        (M1, 3, 1),
        (M2, 3, 2),
        (M3, 3, 2),
        (FIGURE_4, 3, 1),
        (FIGURE_4, 3, 3),
        (np.ones((3, 3)), 3, 2),
        ([[1, 0, 1]], 1, 1),
        ([[1, 1, 1]], 3, 2),
        ([[1], [0], [1]], 2, 1),
        ([[1, 0], [0, 1], [1, 1], [0, 0]], 3, 2),
        (np.kron(np.eye(2), np.ones((2, 2))), 4, 2),
        (np.tri(4), 4, 3),
    ],
)
def test_every_identity_holds_in_other_shapes_and_widths(mask: Any, rank: int, k: int) -> None:
    assert violated(identities(mask, rank, k)) == set()


@pytest.mark.parametrize("values", [M2_VALUES, np.where(np.isnan(M2_VALUES), 0.0, M2_VALUES)])
def test_every_identity_holds_for_numbers_on_the_mask(values: Any) -> None:
    assert violated(identities(M2, 3, 2, values=values)) == set()


def test_an_observed_zero_couples_the_blocks_but_leaves_their_manifolds_invariant() -> None:
    zeros_between = [[NAN, NAN, 0], [NAN, NAN, NAN], [NAN, NAN, NAN]]
    mask = [[1, 1, 1], [1, 1, 0], [0, 0, 1]]
    results = {identity.name: identity for identity in identities(mask, 3, 2, values=zeros_between)}
    assert violated(results.values()) == set()
    assert symbolic_flow(mask, values=zeros_between).components == (((0, 1, 2), (0, 1, 2)),)
    assert len(results["decoupling"].residual) == 0
    without_zero = {identity.name: identity for identity in identities(mask, 3, 2)}
    assert len(results["sub-omega-invariance"].residual) > len(without_zero["sub-omega-invariance"].residual)


def test_the_flow_at_a_rational_frame_is_the_flow_of_its_coordinates() -> None:
    flow, small = symbolic_flow(np.ones((2, 2))), symbolic_flow(np.ones((2, 2)), 1)

    def defect(Q: Any) -> Any:
        lifted = dict(zip(flow.variables, [*(small.A * Q.T), *(Q * small.B)], strict=True))
        a_rate, b_rate = sp.Matrix(2, 1, small.field[:2]), sp.Matrix(1, 2, small.field[2:])
        expected = sp.Matrix([*(a_rate * Q.T), *(Q * b_rate)])
        return (flow.field.xreplace(lifted) - expected).expand()

    assert defect(sp.Matrix([3, 4]) / 5) == sp.zeros(8, 1)
    assert defect(sp.Matrix([3, 4])) != sp.zeros(8, 1)


def test_general_identities_hold_for_symbolic_sizes() -> None:
    results = general_identities()
    assert [identity.name for identity in results] == ["conservation", "omega-invariance", "omega-reduction"]
    assert violated(results) == set()
    assert all(entry.is_ZeroMatrix for identity in results for entry in identity.residual)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_the_differentiated_field_and_hessian_agree_with_the_closed_forms(seed: int, d1: int, d2: int, r: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((d1, d2)) < 0.6
    mask[rng.integers(d1), rng.integers(d2)] = True
    values = np.where(rng.random((d1, d2)) < 0.2, 0.0, rng.standard_normal((d1, d2)))
    problem, model = MatrixCompletion(values, mask), Factorization((d1, d2), r)
    flow = symbolic_flow(mask, r, values)
    field, hessian = lambdified_field(flow), lambdified_hessian(flow)
    theta = model.random(rng)
    gradient = problem.gradient(model.output(theta))

    def hvp(v: np.ndarray) -> np.ndarray:
        return model.pullback(theta, problem.curvature(model.tangent(theta, v))) + model.bend(theta, v, gradient)

    closed = np.array([hvp(v) for v in np.eye(model.dim)])
    np.testing.assert_allclose(field(theta), -model.pullback(theta, gradient), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hessian(theta), closed, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
def test_the_jacobian_couples_exactly_the_coupling_components(bits: list[bool]) -> None:
    flow = symbolic_flow(np.array(bits).reshape(3, 3), 2)
    pattern = np.array(flow.jacobian.tolist(), dtype=object) != 0
    graph = nx.from_numpy_array(pattern.astype(int))
    found = {frozenset(flow.variables[v] for v in part) for part in nx.connected_components(graph) if len(part) > 1}
    expected = {
        frozenset([*(x for i in rows for x in flow.A.row(i)), *(x for j in columns for x in flow.B.col(j))])
        for rows, columns in flow.components
    }
    assert found == expected


def test_the_text_of_two_blocks_is_two_closed_systems() -> None:
    text = equations_text(symbolic_flow(M2, 1, M2_VALUES))
    assert text.split("\n\n")[1].splitlines() == [
        "rows 3; columns 3:",
        "  a_31' = -2*b_13*(a_31*b_13 - 5)/5",
        "  b_13' = -2*a_31*(a_31*b_13 - 5)/5",
    ]
    block = text.split("\n\n")[0].splitlines()
    assert block[0] == "rows 1, 2; columns 1, 2:"
    assert block[1] == "  a_11' = -2*b_11*(a_11*b_11 - 1)/5 - 2*b_12*(a_11*b_12 - 2)/5"
    assert len(block) == 5


def test_the_decoupled_systems_contain_every_moving_factor_once_and_no_foreign_one() -> None:
    flow = symbolic_flow(M2, 3, M2_VALUES)
    systems = decoupled_systems(flow)
    functions = [{equation.lhs.expr for equation in system} for system in systems]
    assert [len(own) for own in functions] == [12, 6]
    assert not functions[0] & functions[1]
    for system, own in zip(systems, functions, strict=True):
        assert all(equation.rhs.atoms(sp.Function) <= own for equation in system)


def test_the_printed_equations_read_back_as_the_field() -> None:
    flow = symbolic_flow(M3, 2, [[0.1, -2, NAN], [3, 4, NAN], [6, NAN, 1e-3]])
    lines = [line for line in equations_text(flow).splitlines() if "'" in line]
    rates = {sp.Symbol(left.strip()[:-1]): sp.sympify(right) for left, right in (line.split(" = ") for line in lines)}
    assert all(sp.expand(rates[x] - rate) == 0 for x, rate in zip(flow.variables, flow.field, strict=True))


def test_unobserved_lines_are_named_as_constant() -> None:
    flow = symbolic_flow([[1, 0, 0], [0, 0, 0]], 1)
    assert equations_text(flow).splitlines()[-1] == "constant, not observed: rows 2 of A; columns 2, 3 of B"
    assert equations_text(symbolic_flow([[1, 0]], 1)).splitlines()[-1] == "constant, not observed: columns 2 of B"
    assert equations_latex(flow).endswith("columns 2, 3 of B")


def test_the_latex_has_one_environment_for_each_component() -> None:
    latex = equations_latex(symbolic_flow(M2, 1, M2_VALUES))
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") == 2
    assert r"\dot{a}_{31} &= - \frac{2 b_{13} \left(a_{31} b_{13} - 5\right)}{5}" in latex


def test_indices_above_nine_stay_distinct() -> None:
    flow = symbolic_flow(np.ones((12, 1)), 1)
    assert len(set(flow.variables)) == 13
    assert str(flow.A[11, 0]) == "a_12_1"


def test_values_are_taken_as_the_decimals_they_print_as() -> None:
    M = symbolic_flow([[1, 1, 1]], 1, [[0.1, 1e-150, NAN]]).M
    assert tuple(M) == (sp.Rational(1, 10), sp.Rational(1, 10**150), sp.Symbol("m_13"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": [1, 0]}, "mask must be a matrix"),
        ({"mask": [[1, 2]]}, "mask must hold only True and False"),
        ({"mask": [[0, 0]]}, "must observe at least one entry"),
        ({"mask": [[1]], "rank": 0}, "rank must be a positive integer; got 0"),
        ({"mask": [[1]], "values": [[1, 2]]}, "values must have the shape of mask"),
        ({"mask": [[1]], "values": [[float("inf")]]}, "row 1, column 1 holds inf"),
        ({"mask": [[1]], "k": 0}, "k must be a positive integer; got 0"),
        ({"mask": [[1]], "k": 2}, "k must be at most the width r = 1; got 2"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identities(**arguments)


def test_a_symbolic_data_entry_has_no_numerical_field() -> None:
    with pytest.raises(ValueError, match="pass values for m_11"):
        lambdified_field(symbolic_flow([[1]]))
    with pytest.raises(ValueError, match=r"theta must have shape \(2,\)"):
        lambdified_field(symbolic_flow([[1]], values=[[1]]))(np.zeros(3))


def test_records_are_read_only_and_ready_for_json() -> None:
    flow = symbolic_flow(M2, 1, M2_VALUES)
    with pytest.raises(ValueError, match="read-only"):
        flow.mask[0, 0] = False
    assert repr(flow) == "SymbolicFlow(3 x 3, 5 observed, rank 1)"
    assert json.loads(json.dumps(flow.to_dict()))["components"] == [[[0, 1], [0, 1]], [[2], [2]]]
    wrong = replace(CLOSED_FORMS, field=halved)
    for forms, holds in ((CLOSED_FORMS, True), (wrong, False)):
        ode = identities(M2, 1, forms=forms)[0]
        record = json.loads(json.dumps(ode.to_dict()))
        assert (record["holds"], record["violation"] is None) == (holds, holds)
        assert record["equations"] == 6
    assert repr(ode) == "Identity(ode: 6 of 6 equations violated)"
    assert repr(wrong) == "ClosedForms(closed_observe, halved, closed_hessian, closed_deviation)"


def halved(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -1 / n, A.T @ E * -1 / n


def reversed_time(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * 2 / n, A.T @ E * 2 / n


def wrong_sign_of_one_block(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * 2 / n, A.T @ E * -2 / n


def factor_two_dropped_in_one_block(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -1 / n, A.T @ E * -2 / n


def transposed_block(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -2 / n, E.T @ A * -2 / n


def transposed_residual(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E.T @ B.T * -2 / n, A.T @ E * -2 / n


def weight_decay(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -2 / n - A, A.T @ E * -2 / n - B


def one_rate_per_column(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    rates = np.arange(1, A.shape[1] + 1).astype(object)
    return E @ B.T * rates * -2 / n, A.T @ E * rates[:, None] * -2 / n


def constant_drift(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -2 / n + 1, A.T @ E * -2 / n


def frozen_second_factor(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -2 / n, np.zeros(B.shape, dtype=object)


def leaking(X: Any, mask: np.ndarray) -> Any:
    return X


def filled_with_ones(X: Any, mask: np.ndarray) -> Any:
    return np.where(mask, X, X - 1)


def hessian_without_residual(theta: Any, delta: Any, E: Any, observe: Callable[[Any], Any], n: Any) -> tuple[Any, Any]:
    return CLOSED_FORMS.hessian(theta, delta, 0 * E, observe, n)


def deviation_without_second_order(theta: Any, delta: Any, E: Any, observe: Any, n: Any) -> tuple[Any, Any]:
    A_rate, B_rate = CLOSED_FORMS.hessian(theta, delta, E, observe, n)
    return -A_rate, -B_rate


OMEGA = {"omega-invariance", "omega-reduction", "sub-omega-invariance"}


@pytest.mark.parametrize(
    ("planted", "caught"),
    [
        ({"field": halved}, {"ode", "deviation"}),
        ({"field": reversed_time}, {"ode", "deviation"}),
        ({"field": wrong_sign_of_one_block}, {"ode", "deviation", "conservation"}),
        ({"field": factor_two_dropped_in_one_block}, {"ode", "deviation", "conservation"}),
        ({"field": transposed_residual}, {"ode", "deviation", "conservation"}),
        ({"field": weight_decay}, {"ode", "deviation", "conservation"}),
        ({"field": one_rate_per_column}, {"ode", "deviation", "conservation"} | OMEGA),
        ({"field": constant_drift}, {"ode", "conservation"} | OMEGA),
        ({"field": frozen_second_factor}, {"ode", "deviation", "conservation"}),
        ({"observe": leaking}, {"ode", "hessian", "decoupling"}),
        ({"observe": filled_with_ones}, {"ode", "hessian", "deviation", "decoupling", "sub-omega-invariance"}),
        ({"hessian": hessian_without_residual}, {"hessian"}),
        ({"deviation": deviation_without_second_order}, {"deviation"}),
    ],
    ids=lambda case: next(iter(case.values())).__name__ if isinstance(case, dict) else "",
)
def test_a_wrong_formula_violates_exactly_the_identities_it_breaks(planted: dict[str, Any], caught: set[str]) -> None:
    assert violated(identities(M2, 3, 2, forms=replace(CLOSED_FORMS, **planted))) == caught


@pytest.mark.parametrize(
    ("field", "caught"),
    [
        (halved, set()),
        (reversed_time, set()),
        (wrong_sign_of_one_block, {"conservation"}),
        (factor_two_dropped_in_one_block, {"conservation"}),
        (transposed_residual, {"conservation"}),
        (weight_decay, {"conservation"}),
    ],
)
def test_a_wrong_formula_violates_the_general_identities_it_breaks(field: Any, caught: set[str]) -> None:
    assert violated(general_identities(replace(CLOSED_FORMS, field=field))) == caught


def drifting(A: Any, B: Any, E: Any, n: Any) -> tuple[Any, Any]:
    return E @ B.T * -2 / n + sp.MatrixSymbol(f"D_{A.shape[1]}", *A.shape), A.T @ E * -2 / n


def test_a_constant_drift_leaves_omega_in_every_dimension() -> None:
    forms = replace(CLOSED_FORMS, field=drifting)
    assert violated(general_identities(forms)) == {"conservation", "omega-invariance", "omega-reduction"}


def test_a_transposed_block_is_refused_where_it_does_not_fit_and_caught_where_it_does() -> None:
    forms = replace(CLOSED_FORMS, field=transposed_block)
    with pytest.raises(ValueError, match=r"field must return shapes \(3, 2\) and \(2, 3\); got \(3, 2\) and \(3, 2\)"):
        identities(M2, 2, 1, forms=forms)
    assert violated(identities(M2, 3, 3, forms=forms)) == set(NAMES) - {"hessian", "omega-invariance"}
    assert violated(general_identities(forms)) == {"conservation", "omega-invariance", "omega-reduction"}
