"""Runs every `bench_*.py` beside this file and prints one table.

A benchmark module has `run() -> list[Row]`. Ratios mean the same on any machine.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.benchmarks.row import Row


def discover(folder: Path) -> list[str]:
    """The benchmark modules' names, in alphabetical order."""
    return sorted(path.stem for path in folder.glob("bench_*.py"))


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    header = ("what", "this", "against", "beside it", "ratio")
    cells = [header] + [
        (row.what, f"{row.seconds:.4g} s", row.against, f"{row.against_seconds:.4g} s", f"{row.ratio:.3g}x")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def main() -> int:
    names = discover(Path(__file__).parent)
    if not names:
        print("no benchmark yet: add tests/benchmarks/bench_<room>.py with run() -> list[Row]")
        return 0
    rows: list[Row] = []
    for name in names:
        print(f"running {name}", file=sys.stderr)
        rows += importlib.import_module(f"tests.benchmarks.{name}").run()
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
