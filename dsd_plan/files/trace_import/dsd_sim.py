"""DSD-Sim: the rounds that its profiler logs (`iterations` with `accepted_flags`).

Format of its training script at commit 02c2a91; no log was at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsd_plan.errors import Problem
from dsd_plan.files.trace_import.rounds import RoundsRead
from dsd_plan.files.trace_import.source import (
    Imported,
    ImportOptions,
    documents,
    metadata_of,
    nothing_found,
    refuse,
    tables_with,
)


def read_rounds(path: Path, options: ImportOptions) -> Imported:
    """One record a request; a flag a proposal, true up to the first rejection."""
    problems: list[Problem] = []
    rounds = RoundsRead()
    for line, record in documents(path):
        for place, request in tables_with(record, "iterations", line):
            flags = [step.get("accepted_flags") for step in request["iterations"] or () if isinstance(step, dict)]
            read = [_round(flag, f"{place}.iterations[{i}]", problems) for i, flag in enumerate(flags)]
            steps = [step for step in read if step is not None]
            rounds.add_lists([made for made, _ in steps], [kept for _, kept in steps], place, problems)
    refuse(path, problems)
    if not rounds.any():
        raise nothing_found(path, "dsd-sim-acceptance", "records with iterations and accepted_flags")
    return rounds.imported(metadata_of(options, str(path), "DSD-Sim profiler"))


def _round(flags: Any, place: str, problems: list[Problem]) -> tuple[int, int] | None:
    if not isinstance(flags, list) or not all(isinstance(flag, bool) or flag in (0, 1) for flag in flags):
        problems.append(Problem(f"{place}.accepted_flags", "expected a list of true and false"))
        return None
    kept = next((position for position, flag in enumerate(flags) if not flag), len(flags))
    if any(flags[kept:]):
        problems.append(Problem(f"{place}.accepted_flags", "a draft is accepted after a rejected one"))
        return None
    return len(flags), kept
