"""`dsd-plan report`."""

from __future__ import annotations

import os
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


Figures = Annotated[
    Path | None,
    typer.Option("--figures", metavar="FOLDER", help="Every chart as SVG and PNG, too (extra [figures])."),
]


def run(
    studies: Studies,
    output: Output = None,
    as_format: AsFormat = Format.HTML,
    figures: Figures = None,
    as_json: AsJson = False,
) -> None:
    """One HTML file that needs no network, or its facts as text or tables; nothing is computed anew.

    With --figures and --format md the text shows the figures where the page has them.
    """
    from dsd_plan.files import load_study

    target = output or Path(DEFAULTS[as_format])
    if target == STDOUT and (as_json or as_format not in (Format.MD, Format.JSON)):
        raise typer.BadParameter("only --format md and json go to the terminal, and not beside --json")
    loaded = [load_study(study) for study in studies]
    drawn = draw_figures(figures, loaded) if figures is not None else [{} for _ in loaded]
    written = write_report(target, loaded, as_format, drawn)
    if figures is not None:
        written["figures"] = sorted(path for of_study in drawn for path in of_study.values())
    if as_json:
        say_json({"report": str(target), "studies": [study.name for study in loaded], **written})
    elif target != STDOUT:
        tables = f" ({len(written['tables'])} tables)" if as_format is Format.CSV else ""
        say(f"wrote {target}{tables}")
        if figures is not None:
            say(f"wrote {len(written['figures'])} figures as SVG and PNG into {figures}")


def draw_figures(folder: Path, studies: list[Study]) -> list[dict[str, str]]:
    """Draw every chart of every study; of each study the SVG files by what their charts are called."""
    from dsd_plan.cli.terminal import progress
    from dsd_plan.files.pictures import write_pictures
    from dsd_plan.report.pictures import pictures

    wanted: dict[str, tuple[dict[str, Any], int, int]] = {}
    found = []
    for at, study in enumerate(studies, 1):
        front = f"{at}-" if len(studies) > 1 else ""
        drawn = pictures(study)
        wanted |= {f"{front}{each.slug}": (each.figure, each.width_px, each.height_px) for each in drawn}
        found.append({each.slug: str(folder / f"{front}{each.slug}.svg") for each in drawn})
    with progress("drawing") as on_progress:
        write_pictures(folder, wanted, on_progress)
    return found


def write_report(
    target: Path, studies: list[Study], as_format: Format, figures: list[dict[str, str]]
) -> dict[str, Any]:
    """Put a report where it was asked for; gives what else there is to tell of it.

    `figures`: of each study, where a chart's picture lies.
    """
    from dsd_plan.files import json_text
    from dsd_plan.files.tidy import write_tidy
    from dsd_plan.report import render_html, render_markdown, tidy_tables

    if as_format is Format.HTML:
        write_page(target, render_html(studies))
        return {}
    if as_format is Format.MD:
        start = "." if target == STDOUT else target.parent
        links = [{slug: os.path.relpath(path, start).replace(os.sep, "/") for slug, path in f.items()} for f in figures]
        texts = [render_markdown(study, of_study) for study, of_study in zip(studies, links, strict=True)]
        write_text(target, "\n---\n\n".join(texts))
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
