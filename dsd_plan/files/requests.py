"""Workload traces and link traces: tables of requests, and of round trips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.columns import REQUESTS, ROUND_TRIPS
from dsd_plan.files.reading import FileText, read_file
from dsd_plan.files.tables import arrays_of, open_table, parquet_bytes
from dsd_plan.files.writing import write_by, write_whole

if TYPE_CHECKING:
    import polars as pl

COLUMNS = tuple(RequestTrace.__slots__)


def load_requests(path: str | Path) -> RequestTrace:
    """Read a workload trace, ordered by arrival. Raises TraceError with every problem."""
    return requests_of(read_file(path, TraceError))


def requests_of(file: FileText) -> RequestTrace:
    """`load_requests` for a file that has been read."""
    columns = arrays_of(open_table(file), REQUESTS)
    cached, prompts = columns.get("cached_prefix_tokens"), columns["prompt_tokens"]
    over = np.zeros(0, dtype=np.int64) if cached is None else np.flatnonzero(cached >= prompts)
    if cached is not None and over.size:
        row = int(over[0])
        text = f"row {row + 1}: found {cached[row]}, expected less than its {prompts[row]} prompt tokens"
        more = f" ({over.size} such rows)" if over.size > 1 else ""
        raise TraceError(file.name, [Problem('column "cached_prefix_tokens"', text + more)])
    if "request_id" in columns:
        names, times = np.unique(columns["request_id"], return_counts=True)
        twice = names[times > 1]
        if twice.size:
            text = f"found {twice[0]} in {times[times > 1][0]} rows ({twice.size} such names), expected each in one"
            raise TraceError(file.name, [Problem('column "request_id"', f"{text}; are requests there twice?")])
    order = np.argsort(columns["arrival_s"], kind="stable")
    return RequestTrace(**{name: columns[name][order] for name in COLUMNS if name in columns})


def write_requests(path: str | Path, requests: RequestTrace) -> None:
    """Write a trace as Parquet that `load_requests` gives back as it is. Raises TraceError for another ending."""
    if Path(path).suffix.lower() != ".parquet":
        raise TraceError(str(path), "traces are written as Parquet; let the name end in .parquet")
    columns = {name: getattr(requests, name) for name in COLUMNS}
    write_whole(path, parquet_bytes({name: values for name, values in columns.items() if values is not None}, {}))


def stream_requests(path: str | Path, frame: pl.LazyFrame) -> None:
    """Write a trace as Parquet without holding it in memory. Raises TraceError for another ending."""
    import polars as pl

    if Path(path).suffix.lower() != ".parquet":
        raise TraceError(str(path), "traces are written as Parquet; let the name end in .parquet")
    try:
        write_by(path, lambda part: frame.sink_parquet(part))
    except pl.exceptions.PolarsError as failure:
        raise TraceError(str(path), f"could not be written: {str(failure).splitlines()[0][:160]}") from None


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
