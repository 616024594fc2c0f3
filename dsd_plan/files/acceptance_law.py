"""Fitted laws of acceptance: JSON of schema `dsd-plan/acceptance-law/1`, whose keys are the fields of `FittedLaw`."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.acceptance import AcceptanceCounts, AcceptanceLaw
from dsd_plan.domain.acceptance_law import FittedLaw, dependent_law, law_problems, scenario_law
from dsd_plan.domain.acceptance_laws import DependentLaw
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.acceptance_counts import counts_of
from dsd_plan.files.documents import document_of, save_document
from dsd_plan.files.reading import FileText, json_of, read_file

LAW_SCHEMA = "dsd-plan/acceptance-law/"


def load_acceptance_law(path: str | Path) -> FittedLaw:
    """Read a fitted law. Raises TraceError with every problem, SchemaVersionError for another version."""
    return law_of(read_file(path, TraceError))


def law_of(file: FileText) -> FittedLaw:
    """`load_acceptance_law` for a file that has been read."""
    return document_of(file, FittedLaw, "acceptance-law", TraceError, sense=law_problems)


def write_acceptance_law(path: str | Path, law: FittedLaw) -> None:
    """Write a law that `load_acceptance_law` gives back. Raises TraceError where it makes no sense."""
    save_document(path, law, FittedLaw, "acceptance-law", TraceError, law_problems)


def is_law(file: FileText) -> bool:
    """Whether a JSON file says that it is a fitted law."""
    schema = json_of(file, TraceError).get("schema")
    return isinstance(schema, str) and schema.startswith(LAW_SCHEMA)


def counts_or_law_of(file: FileText) -> AcceptanceCounts | AcceptanceLaw | DependentLaw:
    """What a scenario takes of a JSON file: counters, or a fitted law. Raises TraceError for one that lacks a part."""
    if not is_law(file):
        return counts_of(file)
    fitted = law_of(file)
    law = scenario_law(fitted) or dependent_law(fitted)
    if law is None:
        raise TraceError(file.name, [Problem("kind", f"found {fitted.kind}, without the parameters of such a law")])
    return law
