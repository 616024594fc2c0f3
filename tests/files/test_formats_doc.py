"""docs/formats.md tells every key and column with its type, unit and default, exactly as the code has them."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain import not_yet
from dsd_plan.domain.acceptance import AcceptanceCounts, AcceptanceLaw
from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence, LawScore, PositionEvidence
from dsd_plan.domain.fleet import Device, FaultWindow, Link, ModelSpec, Site
from dsd_plan.domain.link_profile import (
    JitterFit,
    LinkProfile,
    LossEstimate,
    OneWay,
    PayloadRtt,
    RttMoment,
    RttStats,
)
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Policy
from dsd_plan.domain.present import Measured, Present
from dsd_plan.domain.profile import HeldOut, LatencyProfile, LatencyStats, LawFit, LayerSlicing, ProfilePoint, StepLaw
from dsd_plan.domain.scenario import FleetBudgets, Pair, Scenario, Search
from dsd_plan.domain.workload import Budgets, ClosedRequests, PoissonRequests, Workload
from dsd_plan.files.acceptance import METADATA_KEYS
from dsd_plan.files.columns import REQUESTS, ROUND_TRIPS, ROUNDS, TOKENS, Column
from dsd_plan.files.values import default_of, is_record, keys_of, words_for
from dsd_plan.units import unit_of

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"

RECORDS: dict[str, type[Any]] = {
    "Scenario": Scenario,
    "[[sites]]": Site,
    "[[links]]": Link,
    "[[models]]": ModelSpec,
    "[[devices]]": Device,
    "law": StepLaw,
    "[[pairs]]": Pair,
    "acceptance": AcceptanceLaw,
    "[[workloads]]": Workload,
    "Open requests": PoissonRequests,
    "Closed requests": ClosedRequests,
    "[workloads.budgets]": Budgets,
    "[[faults]]": FaultWindow,
    "[budgets]": FleetBudgets,
    "[search]": Search,
    "[present]": Present,
    "[[present.measured]]": Measured,
    "Plan": Plan,
    "assignments": Assignment,
    "policy": Policy,
    "deployments": Deployment,
    "Profile": LatencyProfile,
    "points": ProfilePoint,
    "latency_ms": LatencyStats,
    "fit": LawFit,
    "Acceptance counters": AcceptanceCounts,
    "Fitted acceptance law": FittedLaw,
    "Law evidence": LawEvidence,
    "Law evidence by position": PositionEvidence,
    "Law evidence by candidate": LawScore,
    "held_out": HeldOut,
    "slicing": LayerSlicing,
    "Link profile": LinkProfile,
    "rtt_ms": RttStats,
    "by_payload": PayloadRtt,
    "up and down": OneWay,
    "jitter_fit": JitterFit,
    "loss_up and loss_down": LossEstimate,
    "over_time": RttMoment,
}
TABLES: dict[str, tuple[Column, ...]] = {
    "Acceptance trace, tokens": TOKENS,
    "Acceptance trace, rounds": ROUNDS,
    "Workload trace": REQUESTS,
    "Link trace": ROUND_TRIPS,
}

AS_WRITTEN: dict[tuple[type[Any], str], str] = {
    (Device, "profiles"): "a table, each value a path or `{ law = {…} }`",
    (Link, "trace"): "a path",
    (Link, "profile"): "a path",
    (Pair, "acceptance"): "a path or a table",
    (Present, "plan"): "a path",
    (Workload, "requests"): "a path or a table",
}
"""Keys whose value in a file is a path, or one of several tables."""

NOT_YET_IN: dict[str, str] = {
    "links[]": "[[links]]",
    "devices[]": "[[devices]]",
    "devices[].profiles[].fit.law": "law",
    "devices[].profiles[]": "Profile",
    "pairs[]": "[[pairs]]",
    "workloads[]": "[[workloads]]",
    "workloads[].budgets": "[workloads.budgets]",
    "": "Scenario",
    "budgets": "[budgets]",
    "search": "[search]",
    "assignments[]": "assignments",
    "assignments[].policy": "policy",
    "deployments[]": "deployments",
}
"""Where the keys of the table of things to come are documented."""


def sections() -> dict[str, dict[str, list[str]]]:
    """For each heading of the page the rows of its table, by the key in the first cell."""
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").replace("`", "")
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.setdefault(heading, {})[cells[0].strip("`")] = cells[1:]
    return found


def default_words(default: Any) -> str:
    if default is MISSING:
        return "required"
    if default is None or default == ():
        return "none"
    if is_record(type(default)):
        return "its own defaults"
    return f"`{json.dumps(default)}`"


def expected_rows(record: type[Any]) -> dict[str, tuple[str, str | None, str]]:
    return {
        key: (AS_WRITTEN.get((record, key), words_for(kind)), unit_of(key), default_words(default_of(record, key)))
        for key, kind in keys_of(record).items()
        if (record, key) != (Scenario, "inputs")  # filled by the loader, never written
    }


@pytest.mark.parametrize("heading", RECORDS)
def test_every_key_is_told(heading: str) -> None:
    rows = sections()[heading]
    rows.pop("schema", None)
    expected = expected_rows(RECORDS[heading])
    assert list(rows) == list(expected)
    for key, (kind, unit, default) in expected.items():
        assert rows[key][0] == kind, key
        assert unit is None or rows[key][1] == unit, key
        assert rows[key][2] == default, key
        assert len(rows[key][3]) > 5, f"{heading} {key}: no meaning"


@pytest.mark.parametrize("heading", TABLES)
def test_every_column_is_told(heading: str) -> None:
    rows = sections()[heading]
    assert list(rows) == [column.name for column in TABLES[heading]]
    for column in TABLES[heading]:
        need = "required" if column.required else "optional"
        assert rows[column.name][:1] == [column.expected]
        assert rows[column.name][1] == (unit_of(column.name) or "")
        assert rows[column.name][2] == need
        assert rows[column.name][3].startswith(column.meaning)


def test_every_key_of_the_metadata_is_told() -> None:
    assert list(sections()["Acceptance trace, metadata"]) == list(METADATA_KEYS)


def test_what_is_not_supported_yet_is_told_and_nothing_else() -> None:
    entries = (*not_yet.SCENARIO, *not_yet.PLAN, not_yet.DRAFT_BATCH_CAP, not_yet.PRIORITIES)
    for words, replayed in (("not supported yet", False), ("not predicted yet", True)):
        wanted = set()
        for key in (entry.key for entry in entries if entry.replayed == replayed):
            parent, _, name = key.rpartition(".")
            wanted.add((NOT_YET_IN[parent], name.removesuffix("[]")))
        told = {
            (heading, key)
            for heading, rows in sections().items()
            for key, cells in rows.items()
            if heading in RECORDS and words in cells[-1]
        }
        assert told == wanted, words
    columns = {(heading, c.name) for heading, table in TABLES.items() for c in table if c.not_yet is not None}
    told_columns = {
        (heading, key)
        for heading in TABLES
        for key, cells in sections()[heading].items()
        if "not supported yet" in cells[-1]
    }
    assert told_columns == columns


def test_every_schema_is_told() -> None:
    schemas = {heading: rows["schema"] for heading, rows in sections().items() if "schema" in rows}
    assert {heading: cells[0] for heading, cells in schemas.items()} == {
        "Scenario": "`1`",
        "Plan": '`"dsd-plan/plan/1"`',
        "Profile": '`"dsd-plan/profile/1"`',
        "Acceptance counters": '`"dsd-plan/acceptance/1"`',
        "Fitted acceptance law": '`"dsd-plan/acceptance-law/1"`',
        "Link profile": '`"dsd-plan/link/1"`',
    }
