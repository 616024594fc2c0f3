"""Inputs that several verbs read in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsd_plan.errors import PlanError

if TYPE_CHECKING:
    from dsd_plan.domain.plan import Plan


def plan_of(path: Path) -> Plan:
    """The plan in a plan file, or the one that a study chose. Raises InputError with every problem of the file."""
    from dsd_plan.files import load_plan, load_study
    from dsd_plan.files.reading import json_of, read_file

    schema = json_of(read_file(path, PlanError), PlanError).get("schema")
    if isinstance(schema, str) and schema.startswith("dsd-plan/study/"):
        return load_study(path).plan
    return load_plan(path)
