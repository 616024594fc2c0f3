"""`dsd-plan new`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json
from dsd_plan.errors import InputError

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Folder to make; must not hold anything yet.")]


def run(path: Folder, as_json: AsJson = False) -> None:
    """The example is a scenario with declared step times, and a plan for it; every verb runs on them."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(str(path), "exists and is not an empty folder; name a new one")
    path.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted((files("dsd_plan.cli") / "example").iterdir(), key=lambda source: source.name):
        (path / source.name).write_bytes(source.read_bytes())
        written.append(str(path / source.name))
    if as_json:
        say_json({"written": written})
        return
    for name in written:
        say(f"wrote {name}")
    say("next:")
    say(f"  dsd-plan check {path / 'metro.toml'}")
    say(f"  dsd-plan crosscheck {path / 'metro.toml'} --plan {path / 'plan.json'}")
    say(f"  dsd-plan optimize {path / 'metro.toml'} -o {path / 'study.json'}")
