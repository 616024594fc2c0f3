"""llama.cpp: `timings` in the responses of its server, and the lines that its server logs.

Both tell how many drafts were made and kept, not in how many rounds. Responses were checked against published
results of builds b978 and later (InventiveHQ, 2026); log lines against their format in reports of 2025 and 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.trace_import.source import (
    Imported,
    ImportOptions,
    documents,
    metadata_of,
    nothing_found,
    refuse,
    whole,
)

LABELS = ("backend", "method", "label", "name")
"""Keys by which files of several runs tell them apart."""

LOG_LINE = re.compile(r"draft acceptance(?: rate)?\s*=\s*[\d.]+\s*\(\s*(\d+) accepted\s*/\s*(\d+) generated\)")


def read_responses(path: Path, options: ImportOptions) -> Imported:
    """Every record with `draft_n` and `draft_n_accepted`, pooled; `--group` picks one of several runs in a file."""
    problems: list[Problem] = []
    groups: dict[str, list[int]] = {}
    for line, value in documents(path):
        for place, record, group in _records(value, line, ()):
            made = whole(record["draft_n"], f"{place}.draft_n", problems)
            kept = whole(record.get("draft_n_accepted"), f"{place}.draft_n_accepted", problems)
            if made is None or kept is None:
                continue
            if kept > made:
                problems.append(Problem(place, f"accepted {kept} of {made} drafts"))
            totals = groups.setdefault(group, [0, 0, 0])
            totals[0] += made
            totals[1] += kept
            totals[2] += 1
    refuse(path, problems)
    if not groups:
        raise nothing_found(path, "llama.cpp-responses", "draft_n and draft_n_accepted that are not null")
    proposed, accepted, responses = groups[_chosen(path, groups, options.group)]
    return _totals(options, path, "llama.cpp server", proposed, accepted, f"{responses:,} responses, pooled")


def _records(value: Any, place: str, labels: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Tables with drafts, with the labels of the tables around them."""
    if isinstance(value, dict):
        if value.get("draft_n") is not None:
            yield place, value, " ".join(labels)
            return
        own = tuple(value[key] for key in LABELS if isinstance(value.get(key), str))
        for key, inner in value.items():
            within = (str(key),) if isinstance(inner, dict) and "runs" in inner else ()
            yield from _records(inner, f"{place}.{key}" if place else str(key), (*labels, *own, *within))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _records(inner, f"{place}[{index}]", labels)


def _chosen(path: Path, groups: dict[str, list[int]], wanted: str | None) -> str:
    names = ", ".join(repr(name) for name in groups)
    if wanted is not None:
        fitting = [name for name in groups if name == wanted] or [name for name in groups if wanted in name]
        if len(fitting) != 1:
            raise TraceError(str(path), f"--group {wanted!r} fits {len(fitting)} of the runs {names}; name one")
        return fitting[0]
    if len(groups) > 1:
        raise TraceError(str(path), f"holds several runs; choose one with --group: {names}")
    return next(iter(groups))


def read_log(path: Path, options: ImportOptions) -> Imported:
    """A server's log: its "draft acceptance" lines, one a request, pooled."""
    proposed = accepted = requests = 0
    try:
        with path.open(encoding="utf-8", errors="replace") as opened:
            for line in opened:
                found = LOG_LINE.search(line)
                if found:
                    accepted += int(found[1])
                    proposed += int(found[2])
                    requests += 1
    except OSError as failure:
        raise TraceError(str(path), f"cannot be read: {(failure.strerror or str(failure)).lower()}") from None
    if not requests:
        raise nothing_found(path, "llama.cpp-log", "lines with 'draft acceptance = … ( … accepted / … generated)'")
    return _totals(options, path, "llama.cpp server log", proposed, accepted, f"{requests:,} requests, pooled")


def _totals(options: ImportOptions, path: Path, recorder: str, proposed: int, accepted: int, pooled: str) -> Imported:
    metadata = metadata_of(options, str(path), recorder)
    trace = AcceptanceCounts(metadata=metadata, proposed=proposed, accepted=accepted, window=options.window)
    rate = accepted / proposed if proposed else 0.0
    note = f"{pooled}: {accepted:,} of {proposed:,} drafts kept ({rate:.1%}); in how many rounds is not told"
    return Imported(trace, (note,))
