"""`dsd-plan trace describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say_json
from dsd_plan.errors import TraceError

TracePath = Annotated[Path, typer.Argument(metavar="TRACE", help="Trace file (Parquet, CSV or JSONL).")]


def run(trace: TracePath, as_json: AsJson = False) -> None:
    """A file with arrival_s is a workload trace, one with match or proposed an acceptance trace, JSON its counters."""
    from dsd_plan.cli.trace_text import describe_acceptance, show_acceptance
    from dsd_plan.cli.workload_text import describe_requests, show_requests
    from dsd_plan.files import load_acceptance, load_acceptance_counts, load_requests

    if trace.suffix.lower() == ".json":
        told, show = describe_acceptance(load_acceptance_counts(trace)), show_acceptance
    elif is_workload(trace):
        told, show = describe_requests(load_requests(trace)), show_requests
    else:
        told, show = describe_acceptance(load_acceptance(trace)), show_acceptance
    if as_json:
        say_json({"file": str(trace), **told})
    else:
        show(str(trace), told)


def is_workload(trace: Path) -> bool:
    """Whether the table is one of requests. Raises TraceError where it is no table at all."""
    from dsd_plan.files.reading import read_file
    from dsd_plan.files.tables import open_table

    return "arrival_s" in open_table(read_file(trace, TraceError)).columns
