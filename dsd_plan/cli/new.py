"""`dsd-plan new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder to make; must not hold anything yet.")]
Example = Annotated[str, typer.Option("--example", metavar="NAME", help="Which example to copy.")]


def run(path: Folder, example: Example = "metro-edge", as_json: AsJson = False) -> None:
    """An example is a scenario and a plan for it; every verb runs on them as they are."""
    from dsd_plan.files import copy_example

    written = copy_example(example, path)
    if as_json:
        say_json({"example": example, "written": [str(file) for file in written]})
        return
    for file in written:
        say(f"wrote {file}")
    scenarios = [file for file in written if file.suffix == ".toml"]
    if scenarios:
        say(f"next: dsd-plan check {scenarios[0]}")
