"""How domain types are made: frozen, slotted, keyword-only dataclasses that pydantic checks on construction.

The same class is the shape that files are checked against and the type that everything computes with, so
there is no second copy to keep in step. Scalars are strict: a string is never read as a number.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

Name = Annotated[str, Field(min_length=1, max_length=500)]
Count = Annotated[int, Field(strict=True, ge=1)]
Natural = Annotated[int, Field(strict=True, ge=0)]
Integer = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]

T = TypeVar("T")
_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, slotted, keyword-only dataclass whose fields are checked when it is built."""
    made: Any = checked_dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)(cls)
    return made  # type: ignore[no-any-return]
