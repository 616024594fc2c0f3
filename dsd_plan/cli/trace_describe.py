"""`dsd-plan trace describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json
from dsd_plan.errors import TraceError

TracePath = Annotated[Path, typer.Argument(metavar="TRACE", help="Trace file (Parquet, CSV or JSONL).")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page of it.")]


def run(trace: TracePath, html: Html = None, as_json: AsJson = False) -> None:
    """A file with arrival_s is a workload trace, one with match or proposed an acceptance trace, JSON its counters.

    With --html the same, and more in pictures, as one HTML file that needs no network.
    """
    from dsd_plan.cli import trace_html
    from dsd_plan.cli.trace_text import describe_acceptance, show_acceptance
    from dsd_plan.cli.workload_text import describe_requests, show_requests
    from dsd_plan.files import load_acceptance, load_acceptance_counts, load_requests

    if trace.suffix.lower() != ".json" and is_workload(trace):
        requests = load_requests(trace)
        told, show = describe_requests(requests), show_requests
        if html is not None:
            trace_html.write_workload(html, trace, requests)
    else:
        acceptance = load_acceptance_counts(trace) if trace.suffix.lower() == ".json" else load_acceptance(trace)
        told, show = describe_acceptance(acceptance), show_acceptance
        if html is not None:
            trace_html.write_acceptance(html, trace, acceptance)
    if as_json:
        say_json({"file": str(trace), **told})
        return
    show(str(trace), told)
    if html is not None:
        say(f"wrote {html}")


def is_workload(trace: Path) -> bool:
    """Whether the table is one of requests. Raises TraceError where it is no table, or no trace of ours."""
    from dsd_plan.files.columns import REQUESTS, ROUNDS, TOKENS
    from dsd_plan.files.reading import read_file
    from dsd_plan.files.tables import open_table

    found = open_table(read_file(trace, TraceError)).columns
    if not {column.name for column in (*REQUESTS, *TOKENS, *ROUNDS)} & set(found):
        raise TraceError(
            str(trace),
            f"has no column of a trace (found {', '.join(found)[:200]}); is it of another tool? "
            "`dsd-plan trace import FILE --from KIND -o OUT` converts it, and --list shows every KIND",
        )
    return "arrival_s" in found
