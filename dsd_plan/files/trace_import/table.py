"""Plain tables in the project's own columns, without the metadata that a trace carries: CSV, JSONL or Parquet."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.acceptance import TraceMetadata
from dsd_plan.errors import TraceError
from dsd_plan.files.acceptance import trace_of
from dsd_plan.files.columns import REQUESTS
from dsd_plan.files.reading import read_file
from dsd_plan.files.tables import open_table
from dsd_plan.files.trace_import.requests import OWN, REQUIRED, imported_requests, scan
from dsd_plan.files.trace_import.source import Imported, ImportOptions, metadata_of


def read_acceptance(path: Path, options: ImportOptions) -> Imported:
    """Columns of tokens or of rounds; the metadata comes from the options."""
    table = open_table(read_file(path, TraceError))
    metadata: TraceMetadata = metadata_of(options, str(path), "a table")
    return Imported(trace_of(table, metadata))


def read_requests(path: Path, options: ImportOptions) -> Imported:
    """Columns of a workload trace."""
    names = [column.name for column in REQUESTS]
    frame = scan(path, REQUIRED, "requests-table")
    found = frame.collect_schema().names()
    unknown = [name for name in found if name not in names]
    if unknown:
        raise TraceError(str(path), f"has the unknown column {unknown[0]}; known here: {', '.join(names)}; drop it")
    return imported_requests(path, frame, OWN, further=[name for name in found if name not in REQUIRED])
