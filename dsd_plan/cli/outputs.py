"""Where results go, looked at before anything is computed: one rule for every verb."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from dsd_plan.errors import InputError, Problem

FLAGS = {"-o", "--html"}
"""Options that name what is written."""


def with_outputs_checked(run: Callable[..., Any]) -> Callable[..., Any]:
    """A verb's `run` that first raises InputError where an output's folder cannot be made.

    At most one folder above an output is made: of two that are missing, one is most likely misspelt.
    """
    names = list(_outputs(run))

    @functools.wraps(run)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(run).bind(*args, **kwargs).arguments
        for name in names:
            if isinstance(given.get(name), Path):
                check_folder(given[name])
        return run(*args, **kwargs)

    return checked


def check_folder(output: Path) -> None:
    """Raise InputError where more than the last folder above an output is missing."""
    # A link is followed as it will be when the output is written.
    folder = output.resolve().parent
    try:
        missing = not folder.exists() and not folder.parent.exists()
    except OSError:
        return
    if missing:
        text = f"there is no folder {folder.parent}; make it, or correct the path"
        raise InputError(str(output), [Problem("", f"cannot be written: {text}")])


def _outputs(run: Callable[..., Any]) -> Iterator[str]:
    """The parameters of a verb that are set by FLAGS."""
    for name, hint in get_type_hints(run, include_extras=True).items():
        for declared in get_args(hint)[1:]:
            # Of the names of an annotated option typer keeps the first where a default would be.
            flags = [getattr(declared, "default", None), *(getattr(declared, "param_decls", None) or ())]
            if any(flag in FLAGS for flag in flags if isinstance(flag, str)):
                yield name
