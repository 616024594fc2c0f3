"""Examples that ship with the package, to be copied and changed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dsd_plan.errors import InputError

EXAMPLES = Path(__file__).parent.parent / "examples"


def example_names() -> tuple[str, ...]:
    """Names of the examples there are."""
    return tuple(sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()))


@dataclass(frozen=True, slots=True)
class Example:
    """An example as it is listed."""

    name: str
    question: str
    """What it asks, in a line: the heading of its README."""
    scenarios: tuple[str, ...]
    """Names of its scenario files."""


def examples() -> tuple[Example, ...]:
    """Every example there is, by name."""
    return tuple(
        Example(
            name,
            (EXAMPLES / name / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# "),
            tuple(sorted(path.name for path in (EXAMPLES / name).glob("*.toml"))),
        )
        for name in example_names()
    )


def copy_example(name: str, destination: str | Path) -> tuple[Path, ...]:
    """Copy the example `name` into the new or empty folder `destination`; returns the files written, sorted.

    Raises InputError when there is no such example, or when something is in the way: nothing is overwritten.
    """
    if name not in example_names():
        raise InputError(name, f"no such example; there is {', '.join(example_names())}")
    target = Path(destination)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(str(destination), "is there already, and nothing is overwritten; name a new folder")
        shutil.copytree(EXAMPLES / name, target, dirs_exist_ok=True)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        raise InputError(str(destination), f"cannot be written: {reason.lower()}; name another folder") from None
    return tuple(sorted(path for path in target.rglob("*") if path.is_file()))
