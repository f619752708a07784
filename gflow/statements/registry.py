"""The one registry of statements: gflow's own, those of installed packages, and those a user registers.

``verify``, ``ledger``, the command line and the pages read it. A statement joins by ``register_statement``, or by an
entry point of the group ``gflow.statements`` that names a ``Statement``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, overload

from gflow import plugins, watch
from gflow.statements import (
    assumption1,
    assumption2,
    attention,
    balanced,
    commuting,
    conservation,
    decoupling,
    deep,
    deep_balanced,
    deep_clock,
    deep_manifolds,
    derivatives,
    general,
    gunasekar_conjecture,
    gunasekar_cor2,
    gunasekar_thm1,
    identities,
    mixing,
    networks,
    prop1,
    prop2,
    ranks,
    rip,
    rip_thm3,
    samples,
    spectrum,
    steps,
    thm1,
    thm2,
    thm3,
    thm3_premise,
    thm4,
)
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Page, Statement, Verify

GROUP = "gflow.statements"
_MODULES = (
    *(prop1, prop2, thm1, assumption1, assumption2, mixing, thm2, thm3_premise, thm3, thm4, commuting, rip),
    *(gunasekar_thm1, gunasekar_cor2, gunasekar_conjecture, rip_thm3),
    *(conservation, balanced, decoupling, spectrum, derivatives, identities),
)
BUILT_IN: tuple[Statement, ...] = (
    *(module.STATEMENT for module in _MODULES),
    *(*steps.STATEMENTS, *general.STATEMENTS, *deep.STATEMENTS),
    *(*deep_manifolds.STATEMENTS, *deep_balanced.STATEMENTS, *deep_clock.STATEMENTS),
    *(*networks.STATEMENTS, *samples.STATEMENTS, *attention.STATEMENTS, *ranks.STATEMENTS),
)
"""gflow's own statements, in the order in which they are shown."""
_OWN = {statement.id: statement for statement in BUILT_IN}
_added: dict[str, Statement] = {}


@overload
def register_statement(statement: Statement, /, *, replace: bool = False) -> Statement: ...
@overload
def register_statement(*, verify: Verify, replace: bool = False, **parts: Any) -> Statement: ...
@overload
def register_statement(*, replace: bool = False, **parts: Any) -> Callable[[Verify], Statement]: ...
def register_statement(statement: Statement | None = None, /, *, replace: bool = False, **parts: Any) -> Any:
    """Return the statement, which joins every verification and ledger of this process from now on.

    Call it with a ``Statement`` or with its parts, or decorate ``verify`` with all other parts::

        @gflow.register_statement(id="small", title="no entry exceeds 100", source="me", kind="check")
        def small(evidence):
            return gflow.Claim.bounded("small", "no entry exceeds 100", evidence.problem.size, 0.0, 100.0)

    Parameters
    ----------
    statement : Statement, optional
    replace : bool
        Whether a statement that was registered before may give way to this one; gflow's own never do.
    parts
        As for ``Statement``.

    Raises
    ------
    TypeError, ValueError
        If it is no statement, a part is of another kind, or the id is taken, in one sentence.
    """
    if statement is None and "verify" not in parts:
        return lambda verify: register_statement(Statement(verify=verify, **parts), replace=replace)
    found = Statement(**parts) if statement is None else statement
    if not isinstance(found, Statement) or (parts and statement is not None):
        raise TypeError(f"a statement must be of type Statement, or described by keywords; got {found!r}")
    if found.id in _OWN or (_added.get(found.id, found) is not found and not replace):
        advice = "" if found.id in _OWN else ", or pass replace=True"
        raise ValueError(f"there is a statement '{found.id}' already: choose another id{advice}")
    _added[found.id] = found
    return found


def statements(page: Page | None = None) -> tuple[Statement, ...]:
    """Return all statements, or those of a page: gflow's own, those of packages, and those registered, in this order.

    What a package offers and cannot be taken is left out, with a warning.
    """
    found = dict(_OWN)
    for name, offered in plugins.all_loaded(GROUP):
        if not isinstance(offered, Statement):
            warnings.warn(f"the statement '{name}' is left out: its entry point names {offered!r}", stacklevel=2)
        elif found.setdefault(offered.id, offered) is not offered:
            warnings.warn(
                f"the statement '{name}' is left out: there is a statement '{offered.id}' already", stacklevel=2
            )
    found = found | _added
    return tuple(statement for statement in found.values() if page is None or page in statement.pages)


def statement_named(id: str) -> Statement:
    """Return the statement of that id; raises ``ValueError`` with the known ones for another."""
    return statements_named([id])[0]


def statements_named(ids: Iterable[str]) -> tuple[Statement, ...]:
    """Return the statements of these ids, looked up at once; raises ``ValueError`` with the known ones for another."""
    wanted = tuple(ids)
    own = _OWN.keys() >= set(wanted)  # nothing takes the id of one of these, so packages need not be looked through
    found = _OWN if own else {statement.id: statement for statement in statements()}
    for id in wanted:
        if id not in found:
            raise ValueError(f"unknown statement {id!r}; known are {', '.join(found)}")
    return tuple(found[id] for id in wanted)


def checked(given: Evidence, chosen: Iterable[Statement]) -> dict[Statement, tuple[Claim, ...]]:
    """Return the claims of every statement that applies; raises ``IntegrationFailed`` if there is no trajectory.

    A statement of a user or a package that fails is undecided, and the claim says how; the others go on.
    """
    with watch.stage("trajectory"):  # bad settings are told before anything else is computed
        _ = given.trajectory
    found = {statement: _claims(given, statement) for statement in chosen}
    return {statement: claims for statement, claims in found.items() if claims}


def _claims(given: Evidence, statement: Statement) -> tuple[Claim, ...]:
    own = _OWN.get(statement.id) is statement
    if not statement.applies(given.problem, given.model):
        return ()
    try:
        with watch.whole(), watch.stage(statement.id):
            watch.tick()
            claims = statement.claims(given)
        foreign = [claim.id for claim in claims if not claim.id.startswith(statement.id)]
        if foreign and not own:
            raise ValueError(f"claim '{foreign[0]}' must have an id that begins with '{statement.id}'")
        return claims
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        return (Claim.undecided(statement.id, statement.title, str(up)),)
    except Exception as error:
        if own:
            raise
        return (Claim.undecided(statement.id, statement.title, f"its check failed: {plugins.told(error)}"),)
