"""The registry: what may join it and how, what a user's statement can and cannot do, and evidence that is made once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gflow
from gflow import critical
from gflow.data import example
from gflow.report.verification import evidence_report
from gflow.statements import Evidence, Page, Statement, checked, registry, statement_named, statements
from gflow.statements.claims import Claim, Verdict, exit_code
from gflow.statements.general import STATEMENTS as GENERAL
from gflow.statements.ledger import evidence_ledger

ROOT = Path(__file__).resolve().parent.parent
GAP = np.nan
SMALL = gflow.MatrixCompletion([[1.0, 2.0], [3.0, GAP]])


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is gone after it."""
    monkeypatch.setattr(registry, "_added", {})


def right(given: Evidence) -> Claim:
    return Claim.bounded("mine", "one is one", 1.0, 1.0, 1.0)


def wrong(given: Evidence) -> Claim:
    return Claim.bounded("mine", "two is one", 2.0, 1.0, 1.0)


def mine(verify: Any = right, **parts: Any) -> Any:
    described = {"id": "mine", "title": "one is one", "source": "me", "kind": "check"}
    return Statement(verify=verify, **(described | parts))


def claim_of(statement: Statement) -> Claim:
    (claim,) = checked(Evidence.of(SMALL), [statement])[statement]
    return claim


# The records


@pytest.mark.parametrize("statement", registry.BUILT_IN, ids=lambda statement: statement.id)
def test_every_statement_of_gflow_says_what_it_says_and_who_says_so(statement: Statement) -> None:
    assert statement.title[0] != " " and statement.source and statement.pages
    assert all(each.name and each.sentence for each in statement.hypotheses)
    assert statement.formula.count("{") == statement.formula.count("}")


def test_there_is_one_list_and_its_ids_are_distinct() -> None:
    ids = [statement.id for statement in statements()]
    assert len(set(ids)) == len(ids) and {"prop1", "thm3", "rip_thm3", "identities", "general.descent"} <= set(ids)
    assert [s for s in statements() if Page.REPORT in s.pages] == list(statements(Page.REPORT))
    assert statement_named("thm4").source == "Bai et al. 2024, Theorem 4"


@pytest.mark.parametrize("name", ["fig4", "slides2"])
def test_the_claims_of_a_statement_say_which_hypotheses_are_met(name: str) -> None:
    found = gflow.ledger(example(name)).claims
    met = {finding.name: finding.met for finding in found["thm4"].hypotheses}
    assert met == {
        "disconnected with complete bipartite components": name == "fig4",
        "full-rank W_0": True,
        "limit exists": True,
        "limit interpolates": True,
    }
    assert [finding.met for finding in found["prop2"].hypotheses] == [name == "fig4"]
    assert [finding.met for finding in found["decoupling"].hypotheses] == [name == "fig4"]
    for claim in found.values():
        if any(finding.met is False for finding in claim.hypotheses):
            assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET


# Joining


def test_a_statement_joins_by_a_call_with_its_parts_or_by_a_decorator_and_comes_last() -> None:
    first = gflow.register_statement(mine())
    second = gflow.register_statement(id="b", title="b", source="me", kind="theorem", verify=right)
    third = gflow.register_statement(id="c", title="c", source="me", kind="premise")(right)
    assert statements()[-3:] == (first, second, third) and third.verify is right
    assert gflow.register_statement(first) is first, "the same record may come twice, as by a reloaded module"
    assert "mine" in gflow.ledger(SMALL).claims


def test_an_id_is_given_once_and_gflow_s_own_never_give_way() -> None:
    gflow.register_statement(mine())
    with pytest.raises(
        ValueError, match="there is a statement 'mine' already: choose another id, or pass replace=True"
    ):
        gflow.register_statement(mine(wrong))
    other = gflow.register_statement(mine(wrong), replace=True)
    assert statement_named("mine") is other
    with pytest.raises(ValueError, match=r"there is a statement 'thm3' already: choose another id$"):
        gflow.register_statement(mine(id="thm3"), replace=True)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"kind": "lemma"}, ValueError, "kind of statement 'mine' must be one of theorem, premise, conjecture, check"),
        ({"kind": None}, ValueError, "kind of statement 'mine' must be one of"),
        ({"kind": ["check"]}, ValueError, "kind of statement 'mine' must be one of"),
        ({"id": "a b"}, ValueError, "id of a statement must be letters"),
        ({"id": 5}, ValueError, "id of a statement must be letters"),
        ({"title": ""}, TypeError, "title of statement 'mine' must be a sentence"),
        ({"source": None}, TypeError, "source of statement 'mine' must be a sentence"),
        ({"formula": 1.0}, TypeError, "formula of statement 'mine' must be a sentence"),
        ({"verify": "prove"}, TypeError, "verify of statement 'mine' must be a function"),
        ({"applies": True}, TypeError, "applies of statement 'mine' must be a function"),
        ({"hypotheses": ("full rank",)}, TypeError, "hypotheses of statement 'mine' must be of type Hypothesis"),
        ({"hypotheses": 3}, TypeError, "hypotheses of statement 'mine' must be a sequence"),
        ({"pages": ("poster",)}, ValueError, "page of statement 'mine' must be one of report, ledger; got 'poster'"),
        ({"pages": "ledger"}, TypeError, "pages of statement 'mine' must be a sequence"),
        ({"colour": "red"}, TypeError, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_no_statement_is_refused_in_one_sentence(parts: Any, error: Any, message: str) -> None:
    described = {"id": "mine", "title": "one is one", "source": "me", "kind": "check", "verify": right}
    with pytest.raises(error, match=message) as raised:
        gflow.register_statement(**(described | parts))
    assert "\n" not in str(raised.value)
    assert all(statement.id != "mine" for statement in statements())


@pytest.mark.parametrize("value", [5, right, "thm1", Statement])
def test_only_a_statement_can_be_registered_and_nothing_beside_it(value: Any) -> None:
    with pytest.raises(TypeError, match="a statement must be of type Statement, or described by keywords"):
        gflow.register_statement(mine(), kind="theorem")
    with pytest.raises(TypeError, match="a statement must be of type Statement, or described by keywords"):
        gflow.register_statement(value)


# What a user's statement can and cannot do


def test_a_statement_that_fails_is_undecided_and_the_others_go_on() -> None:
    gflow.register_statement(mine(lambda given: 1 / 0))
    found = gflow.ledger(SMALL).claims
    assert found["mine"].verdict is Verdict.UNDECIDED and "ZeroDivisionError: division by zero" in found["mine"].reason
    assert found["thm3"].verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        (lambda given: None, "must return claims; got None"),
        (lambda given: [], "must return claims; got []"),
        (lambda given: ["holds"], "must return claims"),
        (lambda given: Claim.undecided("thm3", "mine", "so"), "claim 'thm3' must have an id that begins with 'mine'"),
    ],
)
def test_what_a_check_returns_must_be_claims_of_its_own(verify: Any, said: str) -> None:
    claim = claim_of(mine(verify))
    assert claim.verdict is Verdict.UNDECIDED and said in claim.reason


def test_a_statement_of_gflow_that_fails_is_a_defect_and_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(*_: Any) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(gflow, "minimum_rank", defective)
    with pytest.raises(KeyError, match="a defect"):
        gflow.ledger(SMALL)


@pytest.mark.parametrize("kind", ["premise", "conjecture"])
def test_a_premise_or_conjecture_that_fails_is_news_and_no_contradiction(kind: str) -> None:
    claim = claim_of(mine(wrong, kind=kind))
    assert claim.news and claim.verdict is Verdict.HYPOTHESIS_NOT_MET and exit_code([claim]) == 0


@pytest.mark.parametrize(
    ("met", "verdict", "said"),
    [
        (True, Verdict.CONTRADICTED, ""),
        ((True, "seen"), Verdict.CONTRADICTED, ""),
        (np.True_, Verdict.CONTRADICTED, ""),
        (False, Verdict.HYPOTHESIS_NOT_MET, "not met: sun"),
        ((None, "clouds"), Verdict.UNDECIDED, "not known: sun"),
    ],
)
def test_a_theorem_is_contradicted_only_where_its_hypotheses_are_met(met: Any, verdict: Verdict, said: str) -> None:
    sun = gflow.Hypothesis("sun", "the sun shines", lambda given: met)
    claim = claim_of(mine(wrong, kind="theorem", hypotheses=(sun,)))
    assert claim.verdict is verdict and claim.reason.startswith(said)
    assert [finding.name for finding in claim.hypotheses] == ["sun"]


def test_a_statement_is_left_out_where_it_does_not_apply() -> None:
    square = mine(applies=lambda problem, model: problem.shape[0] == problem.shape[1])
    wide = gflow.MatrixCompletion([[1.0, 2.0, 3.0]])
    assert checked(Evidence.of(wide), [square]) == {} and claim_of(square).verdict is Verdict.HOLDS


# Evidence


@pytest.mark.usefixtures("painted")
def test_one_verification_computes_every_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[Any] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        true = getattr(gflow, name)

        def call(*arguments: Any, **options: Any) -> Any:
            said = [value.tobytes() if isinstance(value, np.ndarray) else _identity(value) for value in arguments]
            calls[name, *said, repr(sorted(options.items(), key=str))] += 1
            return true(*arguments, **options)

        return call

    names = "saddle_to_saddle gradient_flow minimum_rank minimum_nuclear_norm rank_fit escape_limit connectivity"
    for name in (*names.split(), "critical_orbits", "find_critical_point", "commuting_path", "greedy_low_rank"):
        monkeypatch.setattr(gflow, name, counted(name))
    given = Evidence.of(example("fig4"))
    evidence_report(given, "fig4")
    evidence_ledger(given)
    met = {key[0] for key in calls}
    assert {*names.split(), "critical_orbits"} <= met
    assert {key[0]: count for key, count in calls.items() if count > 1} == {}


def _identity(value: Any) -> Any:
    if isinstance(value, gflow.MatrixCompletion):
        return value.with_gaps().tobytes()
    return value if isinstance(value, gflow.Objective) else repr(value)


def test_parts_are_computed_when_asked_for_and_shared_by_name() -> None:
    given, met = Evidence.of(SMALL), []
    assert "nothing" in repr(given)

    def part(evidence: Evidence) -> int:
        met.append(evidence)
        return 7

    assert (given.once(part), given.once(part), met) == (7, 7, [given])
    assert given.matrix is not None and "trajectory" not in repr(given), "the limit needs no trajectory"
    assert given.traversal is given.traversal and "traversal" in repr(given)


def test_altered_evidence_keeps_all_other_parts_and_shares_nothing_that_follows() -> None:
    given = Evidence.of(SMALL)
    rank = given.rank
    other = given.altered(limit=given.limit._replace(matrix=np.eye(2)))
    assert (rank, given.rank, other.rank) == (1, 1, 2) and other.traversal is given.traversal


def test_a_model_and_a_width_cannot_both_be_given() -> None:
    with pytest.raises(ValueError, match="a model is given; got rank 2"):
        Evidence.of(SMALL, gflow.Factorization((2, 2)), rank=2)


CACHES = {"cache", "lru_cache", "functools.cache", "functools.lru_cache"}


def kept(source: str) -> list[str]:
    """Return what a module keeps from one call to the next: cached functions, and containers at its top level."""
    found = []
    for node in ast.parse(source).body:
        for decorator in getattr(node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            found += [f"cached {node.name}"] if ast.unparse(called) in CACHES else []  # type: ignore[attr-defined]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict | ast.List | ast.Set) and not ast.unparse(value)[1:-1]:
            found.append(f"container {ast.unparse(node)}")
    return found


def test_no_statement_and_no_page_keeps_anything_between_verifications() -> None:
    paths = [path for room in ("statements", "report") for path in (ROOT / "gflow" / room).rglob("*.py")]
    found = {path.name: kept(path.read_text(encoding="utf-8")) for path in paths}
    assert {name: each for name, each in found.items() if each} == {
        "registry.py": ["container _added: dict[str, Statement] = {}"]
    }
    planted = "_memory = {}\n@lru_cache(maxsize=4)\ndef f(x):\n    return x\n@functools.cache\ndef g(): pass\n"
    assert len(kept(planted)) == 3


# Statements for every problem and model


class Squares:
    """W = theta o theta entrywise: a user's model by its output alone, as the recipe asks for."""

    degree = 2

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.dim = shape, shape[0] * shape[1]

    def output(self, theta: np.ndarray) -> np.ndarray:
        return (theta * theta).reshape(*theta.shape[:-1], *self.shape)


def sensing(symmetric: bool = False) -> gflow.MatrixSensing:
    A = gflow.gaussian_measurements((3, 3), 5, np.random.default_rng(0))
    A = A + A.mT if symmetric else A
    return gflow.MatrixSensing(A, np.tensordot(A, np.outer([1.0, 2, 3], [1.0, 2, 3]), 2))


PAIRS: dict[str, tuple[Any, Any]] = {
    "sensing, A B": (sensing(), gflow.Factorization((3, 3))),
    "sensing, U U^T": (sensing(symmetric=True), gflow.SymmetricFactorization(3)),
    "sensing, a user's model": (sensing().rescaled(1e6), Squares((3, 3))),
    "completion, a user's model": (SMALL, Squares((2, 2))),
    "tiny completion, a user's model": (SMALL.rescaled(1e-150), Squares((2, 2))),
    "completion, W": (SMALL, gflow.DirectMatrix((2, 2))),
    "nothing but zeros": (gflow.MatrixCompletion(np.zeros((2, 2))), Squares((2, 2))),
}


def general(pair: str, fault: Any = gflow.Objective.of) -> dict[str, Claim]:
    problem, model = PAIRS[pair]
    given = Evidence.of(problem, model, objective=fault, max_evaluations=20_000)
    return {claim.id: claim for claims in checked(given, statements()).values() for claim in claims}


@cache
def sound(pair: str) -> dict[str, Claim]:
    return general(pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_general_statements_hold_for_every_problem_and_model(pair: str) -> None:
    found = sound(pair)
    assert {id.split(".")[0] for id in found} == {"general"} and len(found) == 5
    has = pair == "sensing, A B"
    assert found["general.conserved"].verdict is (Verdict.HOLDS if has else Verdict.HYPOTHESIS_NOT_MET)
    assert {claim.verdict for id, claim in found.items() if id != "general.conserved"} == {Verdict.HOLDS}


def test_completion_by_factors_has_its_own_statements_and_the_general_ones_agree_with_them() -> None:
    given = Evidence.of(SMALL)
    assert not {id for id in gflow.ledger(SMALL).claims if id.startswith("general")}
    assert {claim.verdict for statement in GENERAL for claim in statement.claims(given)} == {Verdict.HOLDS}


def test_a_report_and_a_ledger_are_made_for_any_problem_and_model() -> None:
    problem, model = PAIRS["sensing, U U^T"]
    report = gflow.verify(problem, model=model, name="five numbers")
    assert report.lead.startswith("five numbers: MatrixSensing(3 x 3, 5 measurements) and SymmetricFactorization")
    assert report.to_dict()["summary"]["holds"] == 4 and report.matrix is None
    assert list(gflow.ledger(problem, model=model).claims) == [statement.id for statement in GENERAL]


def uphill(problem: Any, model: Any) -> gflow.Objective:
    """A loss whose value rises where its gradient says it falls."""
    true = gflow.Objective.of(problem, model)
    return replace(true, value=lambda theta: 10.0 - true.value(theta), lower_bound=None)


def short_gradient(problem: Any, model: Any) -> gflow.Objective:
    true = gflow.Objective.of(problem, model)
    return replace(true, gradient=lambda theta: 0.999 * true.gradient(theta))


def wrong_product(problem: Any, model: Any) -> gflow.Objective:
    true = gflow.Objective.of(problem, model)
    return replace(true, hvp=lambda theta, v: true.hvp(theta, v) + 1e-4 * v[::-1])


def skew(problem: Any, model: Any) -> gflow.Objective:
    """A Hessian with the right quadratic form, and rows that are not its columns."""
    true = gflow.Objective.of(problem, model)
    turn = 1e-6 * (np.eye(model.dim, k=1) - np.eye(model.dim, k=-1))
    return replace(true, hessian=lambda theta: true.hessian(theta) + turn)


def domed(problem: Any, model: Any) -> gflow.Objective:
    """A value that bends up near the origin, where the Hessian bends down."""
    true = gflow.Objective.of(problem, model)
    return replace(true, value=lambda theta: true.value(theta) + 50.0 * np.minimum((theta * theta).sum(axis=-1), 0.04))


def not_conserved(problem: Any, model: Any) -> gflow.Objective:
    return replace(gflow.Objective.of(problem, model), conserved=lambda theta: theta[..., :1] ** 2)


FAULTS: dict[Callable[..., gflow.Objective], set[str]] = {
    uphill: {"general.descent", "general.derivatives"},
    short_gradient: {"general.derivatives"},
    wrong_product: {"general.derivatives", "general.critical.spectrum"},
    skew: {"general.critical.spectrum"},
    not_conserved: {"general.conserved"},
}


@pytest.mark.parametrize("pair", ["sensing, A B", "completion, a user's model"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_bug_turns_its_general_claims_red(fault: Any, pair: str) -> None:
    red = {id for id, claim in general(pair, fault).items() if claim.verdict is Verdict.CONTRADICTED}
    assert red == FAULTS[fault]


def test_a_value_that_bends_up_at_a_saddle_contradicts_its_kind() -> None:
    found = general("sensing, A B", domed)
    assert {id for id, claim in found.items() if claim.verdict is Verdict.CONTRADICTED} == {
        "general.descent",
        "general.critical.kind",
    }


def test_a_saddle_whose_bend_is_hidden_by_rounding_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflow.statements.general.CLEAR_BEND", 1e30)
    claim = general("completion, a user's model")["general.critical.kind"]
    assert claim.verdict is Verdict.UNDECIDED and re.match(r"rounding hides it at \d saddles", claim.reason)


def test_without_a_critical_point_the_general_statements_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def stalled(*_: Any, **__: Any) -> None:
        raise critical.NotConverged(1.0, 1e-9, 3, np.zeros(4))

    monkeypatch.setattr(gflow, "find_critical_point", stalled)
    problem, model = PAIRS["completion, a user's model"]
    given = Evidence.of(problem, model, max_evaluations=300)
    found = statement_named("general.critical").claims(given)
    assert {claim.verdict for claim in found} == {Verdict.UNDECIDED}


def test_bad_settings_are_told_before_anything_is_computed() -> None:
    with pytest.raises(ValueError, match=r"start must have shape \(8,\)"):
        gflow.ledger(SMALL, start=np.zeros(3))
