"""`dsd-plan profile show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json

ProfilePath = Annotated[Path, typer.Argument(metavar="PROFILE", help="Profile file (JSON).")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page of it.")]


def run(profile: ProfilePath, html: Html = None, as_json: AsJson = False) -> None:
    """Step times over batch, new tokens and context, what verifying costs, the law, and how far to trust all that.

    With --html the same as one HTML file that needs no network.
    """
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.files import load_profile

    loaded = load_profile(profile)
    told = describe_profile(str(profile), loaded)
    if html is not None:
        from dsd_plan.cli.report import write_page
        from dsd_plan.domain.profile_view import profile_view
        from dsd_plan.report.profile_page import render_profile

        write_page(html, render_profile(loaded, profile_view(loaded)))
    if as_json:
        say_json(told)
        return
    show_profile(told)
    if html is not None:
        say(f"wrote {html}")
