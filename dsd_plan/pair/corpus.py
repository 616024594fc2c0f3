"""The text that the bundled pair was trained on, and the part of it that was kept apart.

Both are Python's own standard library, which every installation has. The modules named here are never
trained on, whatever the Python version; held-out losses and every prompt come from them.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from dsd_plan.errors import InputError

HELD_OUT_CODE = (
    "argparse",
    "calendar",
    "configparser",
    "csv",
    "fractions",
    "heapq",
    "shlex",
    "statistics",
    "textwrap",
)
"""Held out, and read as program text."""
HELD_OUT_PROSE = ("optparse", "pickletools", "difflib", "argparse", "statistics", "heapq", "fractions")
"""Held out, and read for their docstrings and long comments."""
HELD_OUT_EXAMPLES = ("difflib", "statistics", "fractions", "doctest")
"""Held out, and read for their interactive examples."""
HELD_OUT_TABLES = ("html.entities", "encodings.cp1252", "encodings.koi8_r", "encodings.mac_roman", "mimetypes")
"""Held out, and read as structured, repetitive data."""

HELD_OUT = frozenset(HELD_OUT_CODE + HELD_OUT_PROSE + HELD_OUT_EXAMPLES + HELD_OUT_TABLES)
"""Dotted names of every module that training must not see."""

_SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__", "ensurepip", "lib2to3", "distutils"})


def library_folder() -> Path:
    """The folder of the running interpreter's standard library sources.

    Raises ``InputError`` where the library is not there as ``.py`` files.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    if not (folder / "textwrap.py").is_file():
        raise InputError(
            str(folder),
            "no standard library sources (textwrap.py is missing), and prompts are taken from them; "
            "run with a Python installation that ships its library as .py files",
        )
    return folder


def module_text(name: str, folder: Path | None = None) -> str:
    """Source text of the standard library module with this dotted name.

    Raises ``InputError`` where the module has no source file.
    """
    root = library_folder() if folder is None else folder
    stem = root.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
    raise InputError(f"{stem}.py", f"module {name!r} has no source file here; install the full standard library")


def is_held_out(relative: Path) -> bool:
    """Whether a library file belongs to a held-out module, or is one of its tests."""
    parts = relative.with_suffix("").parts
    dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if any(dotted == name or dotted.startswith(name + ".") for name in HELD_OUT):
        return True
    tested = {"test_" + name.rpartition(".")[2] for name in HELD_OUT} | {"test_html"}
    return parts[0] in ("test", "tests") and any(part in tested for part in parts)


def training_files(folder: Path | None = None) -> tuple[Path, ...]:
    """Every library source file that may be trained on, sorted by path."""
    root = library_folder() if folder is None else folder
    found = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not _SKIPPED_FOLDERS.intersection(relative.parts) and not is_held_out(relative):
            found.append(path)
    return tuple(found)
