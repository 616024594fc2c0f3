"""`dsd-plan profile show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json, warn

if TYPE_CHECKING:
    from dsd_plan.files.reading import FileText

ProfilePath = Annotated[Path, typer.Argument(metavar="PROFILE", help="Profile of a device or of a link (JSON).")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page of it.")]


def run(profile: ProfilePath, html: Html = None, as_json: AsJson = False) -> None:
    """Step times over batch, new tokens and context, what verifying costs, the law, and how far to trust all that.

    With --html the same as one HTML file that needs no network. Of a link: its round trips, jitter, rates and losses.
    """
    from dsd_plan.cli.profile_text import describe_profile, show_profile
    from dsd_plan.errors import ProfileError
    from dsd_plan.files.profile import profile_of
    from dsd_plan.files.reading import read_file

    file = read_file(profile, ProfileError)
    if is_link(file):
        show_link_file(file, html, as_json)
        return
    loaded = profile_of(file)
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


def is_link(file: FileText) -> bool:
    """Whether a file says of itself that it is the profile of a link."""
    from dsd_plan.errors import ProfileError
    from dsd_plan.files.reading import json_of

    schema = json_of(file, ProfileError).get("schema")
    return isinstance(schema, str) and schema.startswith("dsd-plan/link/")


def show_link_file(file: FileText, html: Path | None, as_json: bool) -> None:
    """Show the profile of a link. Raises ProfileError where a page of it is asked for."""
    from dsd_plan.cli.link_text import link_warnings, show_link
    from dsd_plan.domain.link_profile import LinkProfile
    from dsd_plan.errors import ProfileError
    from dsd_plan.files.documents import dumped
    from dsd_plan.files.link import link_of

    loaded = link_of(file)
    if html is not None:
        raise ProfileError(file.name, "is the profile of a link; --html draws profiles of devices: leave it out")
    for warning in link_warnings(loaded):
        warn(warning)
    if as_json:
        say_json(dumped(loaded, LinkProfile, "link"))
    else:
        show_link(file.name, loaded)
