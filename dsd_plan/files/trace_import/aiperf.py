"""AIPerf: the pooled histogram of its aggregate JSON, and the per-request records of its JSONL.

As documented for AIPerf 0.13 (`pooled_spec_decode_acceptance_histogram`: accepted drafts → verify steps, zero
buckets left out); no run was at hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.trace_import.histogram import from_histogram
from dsd_plan.files.trace_import.source import (
    Imported,
    ImportOptions,
    documents,
    metadata_of,
    nothing_found,
    refuse,
    tables_with,
    whole,
)

POOLED = "pooled_spec_decode_acceptance_histogram"
DRAFTED = "total_draft_tokens"


def read(path: Path, options: ImportOptions) -> Imported:
    """`profile_export_aiperf.json`. The window is not told: say it, `--window N`."""
    found = [(place, table) for line, value in documents(path) for place, table in tables_with(value, POOLED, line)]
    if not found:
        raise nothing_found(path, "aiperf", POOLED)
    if len(found) > 1:
        raise TraceError(str(path), f"holds {len(found)} histograms; import one run at a time")
    place, table = found[0]
    problems: list[Problem] = []
    histogram = _histogram(table[POOLED], f"{place}.{POOLED}" if place else POOLED, problems)
    if options.window is None:
        problems.append(Problem("--window", "the source does not tell how many drafts a round proposes; say it"))
    elif histogram and max(histogram) > options.window:
        problems.append(Problem("--window", f"{options.window}: but a round kept {max(histogram)} drafts"))
    refuse(path, problems)
    window = options.window or 1
    metadata = metadata_of(options, str(path), "AIPerf")
    trace, notes = from_histogram(metadata, [histogram.get(j, 0) for j in range(window + 1)], window, _drafted(table))
    return Imported(trace, ("pooled over requests: how much they differ is not kept", *notes))


def _histogram(value: Any, place: str, problems: list[Problem]) -> dict[int, int]:
    if not isinstance(value, dict) or not value:
        problems.append(Problem(place, f"found {json.dumps(value)[:60]}, expected a table of counts"))
        return {}
    found: dict[int, int] = {}
    for key, count in value.items():
        steps = whole(count, f"{place}.{key}", problems)
        if not key.isdigit():
            problems.append(Problem(place, f"found the key {key[:40]!r}, expected a number of accepted drafts"))
        elif steps is not None:
            found[int(key)] = steps
    return found


def _drafted(table: dict[str, Any]) -> int | None:
    """All proposed drafts, where the aggregate tells them."""
    told = table.get(DRAFTED)
    value = told.get("avg") if isinstance(told, dict) else told
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
