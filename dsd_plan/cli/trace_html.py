"""Pages of traces: arranged by `calibrate` and `domain`, drawn by `report`, written here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsd_plan.cli.terminal import progress

if TYPE_CHECKING:
    from dsd_plan.calibrate.acceptance_fit import AcceptanceFit
    from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TokenTrace
    from dsd_plan.domain.acceptance_law import FittedLaw
    from dsd_plan.domain.workload import RequestTrace
    from dsd_plan.domain.workload_view import WorkloadFitView

LONG = 200_000
"""Rows from which the work shows its progress."""


def write_acceptance(page: Path, trace: Path, acceptance: TokenTrace | RoundTrace | AcceptanceCounts) -> None:
    """The page of recorded acceptance."""
    from dsd_plan.calibrate.acceptance_view import acceptance_view
    from dsd_plan.cli.report import write_page
    from dsd_plan.report.acceptance_page import render_acceptance

    with progress("Describing") as move:
        view = acceptance_view(acceptance, on_progress=move if rows_of(acceptance) >= LONG else None)
    write_page(page, render_acceptance(trace.name, view))


def rows_of(acceptance: TokenTrace | RoundTrace | AcceptanceCounts) -> int:
    """Tokens or rounds; counters have none."""
    from dsd_plan.domain.acceptance import AcceptanceCounts

    return 0 if isinstance(acceptance, AcceptanceCounts) else int(acceptance.request_id.size)


def write_workload(page: Path, trace: Path, requests: RequestTrace) -> None:
    """The page of recorded requests."""
    from dsd_plan.cli.report import write_page
    from dsd_plan.domain.workload_view import workload_view
    from dsd_plan.report.workload_page import render_workload

    write_page(page, render_workload(trace.name, workload_view(requests)))


def write_acceptance_fit(
    page: Path, trace: Path, law: FittedLaw, fit: AcceptanceFit | None, *, asked_for: bool, warnings: list[str]
) -> None:
    """The page of an acceptance law."""
    from dsd_plan.calibrate.acceptance_view import acceptance_fit_view
    from dsd_plan.cli.report import write_page
    from dsd_plan.report.acceptance_fit_page import render_acceptance_fit

    view = acceptance_fit_view(law, fit, asked_for=asked_for, warnings=tuple(warnings))
    write_page(page, render_acceptance_fit(trace.name, view))


def write_workload_fit(page: Path, trace: Path, view: WorkloadFitView) -> None:
    """The page of the laws of a request stream."""
    from dsd_plan.cli.report import write_page
    from dsd_plan.report.workload_fit_page import render_workload_fit

    write_page(page, render_workload_fit(trace.name, view))
