from gflow.escape.degenerate import (
    DegenerateEscape as DegenerateEscape,
    degenerate_escape as degenerate_escape,
)
from gflow.escape.directions import (
    EscapeDirections as EscapeDirections,
    escape_directions as escape_directions,
)
from gflow.escape.growth import NoBlowUp as NoBlowUp
from gflow.escape.limit import escape_limit as escape_limit
from gflow.escape.pair import (
    EscapePair as EscapePair,
    equations_gram as equations_gram,
    escape_pair as escape_pair,
)
from gflow.escape.records import (
    EscapeLimit as EscapeLimit,
    EscapeVerdict as EscapeVerdict,
)
from gflow.escape.residual import (
    ResidualEscape as ResidualEscape,
    residual_escape as residual_escape,
)
