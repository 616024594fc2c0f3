"""Plain functions made callable from compiled code, and a fingerprint of them all for the kernel's cache.

numba's file cache looks at the kernel's own source file alone. Everything that is compiled into the kernel
therefore registers here, and the kernel carries the fingerprint as a constant, so that a change in any of them
(a step-time rule in `domain`, a policy in `control`) cannot be answered by stale machine code.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import CodeType, FunctionType
from typing import Any, TypeVar, cast

import numpy as np
from numba.extending import register_jitable

F = TypeVar("F", bound=Callable[..., Any])

_REGISTERED: dict[str, FunctionType] = {}


def compiled(function: F) -> F:
    """Let the kernel call `function`; Python still calls it as it stands."""
    plain = cast(FunctionType, function)
    _REGISTERED[f"{plain.__module__}.{plain.__qualname__}"] = plain
    return function


def switched(function: F, switches: Mapping[str, bool], suffix: str) -> F:
    """A copy of `function`, and of all registered functions that it calls, which read these globals as constants.

    numba drops a branch whose condition is a global constant before it looks at what is called there. `suffix` is
    added to the copies' names: machine code of two copies with one name could not lie in one process.
    """
    copies: dict[FunctionType, FunctionType] = {}
    return cast(F, _copied(cast(FunctionType, function), switches, suffix, copies))


def _copied(
    plain: FunctionType, switches: Mapping[str, bool], suffix: str, copies: dict[FunctionType, FunctionType]
) -> FunctionType:
    read = {name: plain.__globals__[name] for name in plain.__code__.co_names if name in plain.__globals__}
    taken = {name for name in switches if name in read and read[name] is not True}
    if taken:
        raise ValueError(f"{plain.__qualname__} calls something else {sorted(taken)}, which are names of switches")
    read |= {name: value for name, value in switches.items() if name in read}
    of_copy = {"__name__": plain.__module__, "__builtins__": builtins, **read}
    copy = FunctionType(plain.__code__, of_copy, plain.__name__, plain.__defaults__, plain.__closure__)
    copy.__qualname__ = f"{plain.__qualname__}{suffix}"
    copies[plain] = copy
    for name, value in read.items():
        if isinstance(value, FunctionType) and _is_registered(value):
            of_copy[name] = copies.get(value) or _called(_copied(value, switches, suffix, copies))
    return copy


def _called(function: FunctionType) -> FunctionType:
    """Compiled code may call it; nobody else does, so that it needs none of numba's wrappers."""
    return cast(FunctionType, register_jitable(no_cfunc_wrapper=True, no_cpython_wrapper=True)(function))


def _is_registered(function: FunctionType) -> bool:
    return _REGISTERED.get(f"{function.__module__}.{function.__qualname__}") is function


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
