"""Counters of acceptance: JSON of schema `dsd-plan/acceptance/1`, whose keys are the fields of `AcceptanceCounts`."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.domain.acceptance_checks import counts_problems
from dsd_plan.errors import TraceError
from dsd_plan.files.documents import document_of, save_document
from dsd_plan.files.reading import FileText, read_file


def load_acceptance_counts(path: str | Path) -> AcceptanceCounts:
    """Read counters. Raises TraceError with every problem, SchemaVersionError for another version."""
    return counts_of(read_file(path, TraceError))


def counts_of(file: FileText) -> AcceptanceCounts:
    """`load_acceptance_counts` for a file that has been read."""
    return document_of(file, AcceptanceCounts, "acceptance", TraceError, sense=counts_problems)


def write_acceptance_counts(path: str | Path, counts: AcceptanceCounts) -> None:
    """Write counters that `load_acceptance_counts` gives back. Raises TraceError where they make no sense."""
    save_document(path, counts, AcceptanceCounts, "acceptance", TraceError, counts_problems)
