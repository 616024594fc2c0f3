"""Where results go, looked at before anything is computed: one rule for every verb."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import typer

from dsd_plan.errors import InputError, Problem

FLAGS = {
    "-o",
    "--html",
    "--requests-out",
    "--rounds-out",
    "--series-out",
    "--timeline",
    "--trace-out",
    "--logs-out",
    "--figures",
}
"""Options that name what is written; every other path is read."""


class _Path(NamedTuple):
    """A path of the command line, or one that a scenario names, and what messages call it."""

    name: str
    path: Path


def with_outputs_checked(run: Callable[..., Any]) -> Callable[..., Any]:
    """A verb's `run` that first raises InputError where an output's folder cannot be made.

    At most one folder above an output is made: of two that are missing, one is most likely misspelt.
    Raises typer.BadParameter where an output is a file that the command reads, or another output.
    """
    flags = _flags(run)

    @functools.wraps(run)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(run).bind(*args, **kwargs).arguments
        outputs = [
            _Path(flag, given[name])
            for name, flag in flags.items()
            if flag in FLAGS and isinstance(given.get(name), Path)
        ]
        for output in outputs:
            check_folder(output.path)
        _check_each_its_own(outputs, lambda: _inputs(given, flags))
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


def _check_each_its_own(outputs: list[_Path], inputs: Callable[[], Iterator[_Path]]) -> None:
    """Raise typer.BadParameter naming every output that would replace an input or another output."""
    files = [output for output in outputs if _is_file(output.path)]
    wrong = [
        f"{output.name} {output.path} is also {other.name}"
        for at, output in enumerate(files)
        for other in files[:at]
        if _same(output.path, other.path)
    ]
    replaced = [output for output in files if output.path.exists()]
    wrong += [
        f"{output.name} {output.path} is read by this command ({read.name})"
        for read in (inputs() if replaced else ())
        for output in replaced
        if _same(output.path, read.path)
    ]
    if wrong:
        raise typer.BadParameter(f"{'; '.join(dict.fromkeys(wrong))}; name another file to write")


def _is_file(path: Path) -> bool:
    """Whether writing here would make or replace a file: not so for folders and devices."""
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return False


def _same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or one.samefile(other)
    except (OSError, ValueError):
        return False


def _inputs(given: Mapping[str, Any], flags: Mapping[str, str]) -> Iterator[_Path]:
    """The files that a command reads: those that it is given, and those that a scenario or --vary names."""
    for name, flag in flags.items():
        value = given.get(name)
        if flag not in FLAGS:
            yield from (_Path(flag, path) for path in _listed(value) if isinstance(path, Path))
    scenario = given.get("scenario")
    if isinstance(scenario, Path):
        varied = [text for vary in _listed(given.get("vary")) for text in str(vary).partition("=")[2].split(",")]
        for text in (*_texts_in(scenario), *varied):
            yield _Path(f"{scenario.name} names it", scenario.parent / text)
            # Metadata of a table that holds none of its own, which is read with it.
            yield _Path(f"{scenario.name} names its table", scenario.parent / f"{text}.meta.json")


def _texts_in(scenario: Path) -> Iterator[str]:
    """Every text of a scenario, of which some name files; none where it cannot be read, which is told later."""
    from dsd_plan.errors import ScenarioError
    from dsd_plan.files.reading import read_file, toml_of

    try:
        raw: Any = toml_of(read_file(scenario, ScenarioError), ScenarioError)
    except ScenarioError:
        return
    left = [raw]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if "\0" not in value:
                yield value
        elif isinstance(value, Mapping):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _flags(run: Callable[..., Any]) -> dict[str, str]:
    """The parameters of a verb, each with what its user calls it: an option's name, or an argument's."""
    found = {}
    for name, hint in get_type_hints(run, include_extras=True).items():
        for declared in get_args(hint)[1:]:
            # Of the names of an annotated option typer keeps the first where a default would be.
            names = [getattr(declared, "default", None), *(getattr(declared, "param_decls", None) or ())]
            called = [flag for flag in names if isinstance(flag, str) and flag.startswith("-")]
            found[name] = next((flag for flag in called if flag in FLAGS), called[0] if called else "")
            found[name] = found[name] or getattr(declared, "metavar", None) or name.upper()
    return found
