"""Plain functions made callable from compiled code, and a fingerprint of them all for the kernel's cache.

numba's file cache looks at the kernel's own source file alone. Everything that is compiled into the kernel
therefore registers here, and the kernel carries the fingerprint as a constant, so that a change in any of them
(a step-time rule in `domain`, a policy in `control`) cannot be answered by stale machine code.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from types import CodeType, FunctionType
from typing import Any, TypeVar, cast

import numpy as np
from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])

_REGISTERED: dict[str, FunctionType] = {}


def compiled(function: F) -> F:
    """Let compiled code call `function`; Python still calls it as it stands."""
    plain = cast(FunctionType, function)
    _REGISTERED[f"{plain.__module__}.{plain.__qualname__}"] = plain
    return cast(F, register_jitable(function))


def fingerprint() -> int:
    """63-bit number that changes when a registered function changes, or a constant that it reads from its module."""
    text = "\n".join(f"{name} {described(_REGISTERED[name])}" for name in sorted(_REGISTERED))
    return int.from_bytes(sha256(text.encode()).digest()[:8]) >> 1


def described(function: Callable[..., Any]) -> str:
    """A function's code, and the numbers and row types that it reads from its module, as text."""
    plain = cast(FunctionType, function)
    read = {name: plain.__globals__.get(name) for name in plain.__code__.co_names}
    constants = {name: repr(value) for name, value in read.items() if isinstance(value, int | float | np.dtype)}
    return f"{_code(plain.__code__)} {constants}"


def _code(code: CodeType) -> str:
    constants = [_code(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
