"""`dsd-plan report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json

Studies = Annotated[list[Path], typer.Argument(metavar="STUDY...", help="Study files (JSON), in the page's order.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="HTML file to write.")]


def run(studies: Studies, output: Output = Path("report.html"), as_json: AsJson = False) -> None:
    """One HTML file that needs no network; what it shows is what the studies hold, and nothing is computed."""
    from dsd_plan.files import load_study
    from dsd_plan.report import render_html

    loaded = [load_study(study) for study in studies]
    write_page(output, render_html(loaded))
    if as_json:
        say_json({"report": str(output), "studies": [study.name for study in loaded]})
    else:
        say(f"wrote {output}")


def write_page(path: Path, page: str) -> None:
    """Put a page where it was asked for. Raises InputError where the path cannot be written."""
    from dsd_plan.files.writing import write_whole

    write_whole(path, page.encode("utf-8"))
