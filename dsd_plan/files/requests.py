"""Workload traces and link traces: tables of requests, and of round trips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.columns import REQUESTS, ROUND_TRIPS
from dsd_plan.files.reading import FileText, read_file
from dsd_plan.files.tables import arrays_of, open_table, parquet_bytes
from dsd_plan.files.writing import write_whole


def load_requests(path: str | Path) -> RequestTrace:
    """Read a workload trace, ordered by arrival. Raises TraceError with every problem."""
    return requests_of(read_file(path, TraceError))


def requests_of(file: FileText) -> RequestTrace:
    """`load_requests` for a file that has been read."""
    columns = arrays_of(open_table(file), REQUESTS)
    order = np.argsort(columns["arrival_s"], kind="stable")
    return RequestTrace(*(columns[name][order] for name in ("arrival_s", "prompt_tokens", "output_tokens")))


def write_requests(path: str | Path, requests: RequestTrace) -> None:
    """Write a trace as Parquet that `load_requests` gives back as it is. Raises TraceError for another ending."""
    if Path(path).suffix.lower() != ".parquet":
        raise TraceError(str(path), "traces are written as Parquet; let the name end in .parquet")
    columns = {name: getattr(requests, name) for name in ("arrival_s", "prompt_tokens", "output_tokens")}
    write_whole(path, parquet_bytes(columns, {}))


def load_rtt_trace(path: str | Path) -> RttTrace:
    """Read a link's round trips, ordered by time. Raises TraceError with every problem."""
    return rtt_trace_of(read_file(path, TraceError))


def rtt_trace_of(file: FileText) -> RttTrace:
    """`load_rtt_trace` for a file that has been read."""
    columns = arrays_of(open_table(file), ROUND_TRIPS)
    order = np.argsort(columns["at_s"], kind="stable")
    at_s, rtt_ms = columns["at_s"][order], columns["rtt_ms"][order]
    same = np.flatnonzero(np.diff(at_s) == 0)
    if same.size:
        text = f"{at_s[same[0]]:g} s is there twice ({same.size} such rows); keep one round trip a time"
        raise TraceError(file.name, [Problem('column "at_s"', text)])
    return RttTrace(at_s=tuple(at_s.tolist()), rtt_ms=tuple(rtt_ms.tolist()))
