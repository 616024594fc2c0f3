"""`dsd-plan report`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json

if TYPE_CHECKING:
    from dsd_plan.domain.study import Study


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    MD = "md"
    JSON = "json"
    CSV = "csv"


DEFAULTS = {Format.HTML: "report.html", Format.MD: "report.md", Format.JSON: "report.json", Format.CSV: "report-tables"}
STDOUT = Path("-")

Studies = Annotated[list[Path], typer.Argument(metavar="STUDY...", help="Study files (JSON), in the page's order.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        show_default="report.html, report.md, report.json, or the folder report-tables",
        help="What to write: a file, a folder for csv, or - for the terminal (md and json).",
    ),
]
AsFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        help="A page; Markdown of the same sections; all tables in one JSON; or a folder with a CSV a table.",
    ),
]


def run(studies: Studies, output: Output = None, as_format: AsFormat = Format.HTML, as_json: AsJson = False) -> None:
    """One HTML file that needs no network, or its facts as text or tables; nothing is computed anew."""
    from dsd_plan.files import load_study

    target = output or Path(DEFAULTS[as_format])
    if target == STDOUT and (as_json or as_format not in (Format.MD, Format.JSON)):
        raise typer.BadParameter("only --format md and json go to the terminal, and not beside --json")
    loaded = [load_study(study) for study in studies]
    written = write_report(target, loaded, as_format)
    if as_json:
        say_json({"report": str(target), "studies": [study.name for study in loaded], **written})
    elif target != STDOUT:
        tables = f" ({len(written['tables'])} tables)" if as_format is Format.CSV else ""
        say(f"wrote {target}{tables}")


def write_report(target: Path, studies: list[Study], as_format: Format) -> dict[str, Any]:
    """Put a report where it was asked for; gives what else there is to tell of it."""
    from dsd_plan.files import json_text
    from dsd_plan.files.tidy import write_tidy
    from dsd_plan.report import render_html, render_markdown, tidy_tables

    if as_format is Format.HTML:
        write_page(target, render_html(studies))
        return {}
    if as_format is Format.MD:
        write_text(target, "\n---\n\n".join(render_markdown(study) for study in studies))
        return {}
    tables = tidy_tables(studies)
    if as_format is Format.JSON:
        write_text(target, json_text({"schema": "dsd-plan/tables/1", "tables": tables}))
        return {}
    write_tidy(target, tables)
    return {"tables": list(tables)}


def write_text(target: Path, text: str) -> None:
    """Put a text into a file, or on stdout."""
    if target == STDOUT:
        say(text.rstrip("\n"))
    else:
        write_page(target, text)


def write_page(path: Path, page: str) -> None:
    """Put a page where it was asked for. Raises InputError where the path cannot be written."""
    from dsd_plan.files.writing import write_whole

    write_whole(path, page.encode("utf-8"))
