"""Plans: JSON of schema `dsd-plan/plan/1`, whose keys are the fields of `Plan`."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.plan import Plan
from dsd_plan.domain.plan_checks import plan_problems
from dsd_plan.errors import PlanError
from dsd_plan.files.documents import document_of, save_document
from dsd_plan.files.reading import FileText, read_file


def load_plan(path: str | Path) -> Plan:
    """Read a plan. Raises PlanError with every problem, SchemaVersionError for another version.

    Whether it fits a scenario is another question: `domain.plan_checks.plan_misfits` and `domain.deployed.deploy`.
    """
    return plan_of(read_file(path, PlanError))


def plan_of(file: FileText) -> Plan:
    """The plan in a file that was read. Raises as `load_plan` does."""
    return document_of(file, Plan, "plan", PlanError, sense=plan_problems)


def write_plan(path: str | Path, plan: Plan) -> None:
    """Write a plan that `load_plan` gives back as it is. Raises PlanError where it makes no sense."""
    save_document(path, plan, Plan, "plan", PlanError, plan_problems)
