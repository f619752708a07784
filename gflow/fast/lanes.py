"""Numbers of several flows side by side, which compiled code takes at once: one register of the processor.

numba knows no such numbers, and its compiler finds them in loops only where it can tell that arrays do not overlap.
Without numba a vector is an array of shape (LANES,), and the same functions run, slowly, as they are written.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.fast.jit import installed

LANES = 4
"""Flows side by side: eight are no faster, as their stages fill the nearest cache, and one alone takes longer."""
ALIGNED = 64
"""Bytes of a line of the cache: a vector in two of them takes twice as long to load."""


def rows_of(count: int) -> np.ndarray:
    """Return zeros of shape (count, LANES) whose rows are lines of the cache."""
    room = np.zeros(count * LANES + ALIGNED // 8)
    first = -(room.ctypes.data // 8) % (ALIGNED // 8)
    return room[first : first + count * LANES].reshape(count, LANES)


if TYPE_CHECKING or not installed():

    def load(array: np.ndarray, row: int) -> Any:
        """Return a row of an array of shape (m, LANES) as a vector."""
        return array[row].copy()

    def store(array: np.ndarray, row: int, vector: Any) -> None:
        """Write a vector into a row of an array of shape (m, LANES)."""
        array[row] = vector

    def every(number: float) -> Any:
        """Return the vector of one number in all lanes."""
        return np.full(LANES, number)

    def inverse_root(vector: Any) -> Any:
        """Return 1 / sqrt of each lane."""
        with np.errstate(all="ignore"):
            return 1.0 / np.sqrt(vector)

    def chosen(mask: Any, one: Any, other: Any) -> Any:
        """Return ``one`` in lanes where the mask is not 0, ``other`` elsewhere."""
        return np.where(mask != 0.0, one, other)

else:
    from llvmlite import ir
    from numba.core import types
    from numba.core.cgutils import get_or_insert_function
    from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
    from numba.extending import intrinsic, lower_builtin, models, register_model

    DOUBLES = ir.VectorType(ir.DoubleType(), LANES)

    class Vector(types.Type):
        """The type of ``LANES`` doubles that are one number for the compiler."""

    @register_model(Vector)
    class VectorModel(models.PrimitiveModel):
        """Which is a vector of LLVM."""

        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, DOUBLES)

    VECTOR = Vector("lanes")

    def _lowered(name: str) -> Any:
        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            return getattr(builder, name)(*parts)

        return lower

    for _operation, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):

        @infer_global(_operation)
        class VectorOperation(ConcreteTemplate):
            """Sums, differences and products lane by lane."""

            cases = (signature(VECTOR, VECTOR, VECTOR),)

        lower_builtin(_operation, Vector, Vector)(_lowered(_name))

    def _place(context: Any, builder: Any, kind: Any, parts: Any) -> Any:
        """Return the address of a row of an array."""
        data = context.make_array(kind)(context, builder, parts[0]).data
        return builder.bitcast(
            builder.gep(data, [builder.mul(parts[1], ir.Constant(ir.IntType(64), LANES))]), DOUBLES.as_pointer()
        )

    @intrinsic
    def load(typing: Any, array: Any, row: Any) -> Any:
        """Return a row of an array of shape (m, LANES) as a vector."""

        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            found = builder.load(_place(context, builder, sig.args[0], parts))
            found.align = 8
            return found

        return VECTOR(array, types.intp), lower

    @intrinsic
    def store(typing: Any, array: Any, row: Any, vector: Any) -> Any:
        """Write a vector into a row of an array of shape (m, LANES)."""

        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            done = builder.store(parts[2], _place(context, builder, sig.args[0], parts))
            done.align = 8
            return context.get_dummy_value()

        return types.void(array, types.intp, VECTOR), lower

    @intrinsic
    def every(typing: Any, number: Any) -> Any:
        """Return the vector of one number in all lanes."""

        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            one = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), parts[0], ir.Constant(ir.IntType(32), 0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            return builder.shuffle_vector(one, one, mask)

        return VECTOR(types.float64), lower

    @intrinsic
    def inverse_root(typing: Any, vector: Any) -> Any:
        """Return 1 / sqrt of each lane."""

        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            root = get_or_insert_function(builder.module, ir.FunctionType(DOUBLES, [DOUBLES]), f"llvm.sqrt.v{LANES}f64")
            return builder.fdiv(ir.Constant(DOUBLES, [1.0] * LANES), builder.call(root, parts))

        return VECTOR(VECTOR), lower

    @intrinsic
    def chosen(typing: Any, mask: Any, one: Any, other: Any) -> Any:
        """Return ``one`` in lanes where the mask is not 0, ``other`` elsewhere."""

        def lower(context: Any, builder: Any, sig: Any, parts: Any) -> Any:
            return builder.select(
                builder.fcmp_unordered("!=", parts[0], ir.Constant(DOUBLES, [0.0] * LANES)), *parts[1:]
            )

        return VECTOR(VECTOR, VECTOR, VECTOR), lower
