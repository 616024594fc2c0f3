"""Rows of structured arrays reached by address, so that a compiled function is handed one pointer, not forty arrays.

numba passes an array as seven values and counts references to it; with all of the kernel's tables in every
call, rounds took four times as long and compiling nearly twice. `World` (layout.py) holds the addresses of
the tables instead. Python owns the arrays and must keep them alive while the kernel runs; indices are not checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dsd_plan.replay.compiled import compiled

Array = NDArray[np.float64]


def address_of(table: NDArray[Any]) -> int:
    """Where a contiguous array begins. Raises ValueError for any other."""
    if not table.flags.c_contiguous:
        raise ValueError("a table of the kernel must be contiguous")
    return int(table.__array_interface__["data"][0])


@intrinsic
def row(typing_context: Any, address: Any, dtype: Any, index: Any) -> Any:
    """row(address, dtype, index): the index-th row of the table of `dtype` at `address`, to read and to write."""
    record = dtype.dtype

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, _, at = arguments
        offset = builder.mul(at, context.get_constant(types.int64, record.size))
        return builder.inttoptr(builder.add(start, offset), context.get_value_type(record))

    return record(types.int64, dtype, types.int64), build


@intrinsic
def _float_pointer(typing_context: Any, address: Any) -> Any:
    pointer = types.CPointer(types.float64)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(types.int64), build


@compiled
def floats(address: int, first: int, shape: Any) -> Array:
    """A view of the 64-bit floats at `address`, from number `first` on; `shape` is a tuple."""
    return carray(_float_pointer(address + 8 * first), shape)  # type: ignore[no-any-return]
