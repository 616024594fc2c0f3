"""`dsd-plan profile show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say_json

ProfilePath = Annotated[Path, typer.Argument(metavar="PROFILE", help="Profile file (JSON).")]


def run(profile: ProfilePath, as_json: AsJson = False) -> None:
    """Step times at the corners of what was measured, the fitted law with its error, and how it was measured."""
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.files import load_profile

    told = describe_profile(str(profile), load_profile(profile))
    if as_json:
        say_json(told)
    else:
        show_profile(told)
