"""The kernel optimised as one program, instead of once for each function on the way up to it.

numba optimises and assembles each function together with all that it calls, so what lies deep in the kernel would be
done over as often as there are callers above it: half of the time that compiling takes. Here the functions of the
kernel are only linked, and all of them are optimised with the one that Python calls. This rests on numba's inner
parts, so `kernel` compiles the usual way should they have changed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target


@contextmanager
def optimised_at_the_end(suffix: str, last: str) -> Iterator[None]:
    """What is compiled here and whose name has this suffix is left as it is, but for the function called `last`."""

    class Library(JITCodeLibrary):  # type: ignore[misc]
        def _is_part(self) -> bool:
            return bool(self.name.endswith(suffix) and not self.name.endswith(last))

        def _optimize_final_module(self) -> None:
            if not self._is_part():
                super()._optimize_final_module()

        def _finalize_final_module(self) -> None:
            if self._is_part():
                self._finalize_dynamic_globals()
                self._finalized = True
            else:
                super()._finalize_final_module()

    codegen = cpu_target.target_context.codegen()
    set_env = codegen.set_env

    def set_env_if_assembled(name: str, env: Any) -> None:
        if codegen._engine.is_symbol_defined(name):
            set_env(name, env)

    with global_compiler_lock:
        codegen._library_class, codegen.set_env = Library, set_env_if_assembled
        collects = gc.isenabled()
        gc.disable()  # it would look through numba's many small objects again and again: an eighth of the time
        try:
            yield
        finally:
            del codegen._library_class, codegen.set_env
            if collects:
                gc.enable()
