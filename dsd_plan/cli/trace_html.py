"""Pages of traces: arranged by `calibrate` and `domain`, drawn by `report`, written here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TokenTrace
    from dsd_plan.domain.workload import RequestTrace


def write_acceptance(page: Path, trace: Path, acceptance: TokenTrace | RoundTrace | AcceptanceCounts) -> None:
    """The page of recorded acceptance."""
    from dsd_plan.calibrate.acceptance_view import acceptance_view
    from dsd_plan.cli.report import write_page
    from dsd_plan.report.acceptance_page import render_acceptance

    write_page(page, render_acceptance(trace.name, acceptance_view(acceptance)))


def write_workload(page: Path, trace: Path, requests: RequestTrace) -> None:
    """The page of recorded requests."""
    from dsd_plan.cli.report import write_page
    from dsd_plan.domain.workload_view import workload_view
    from dsd_plan.report.workload_page import render_workload

    write_page(page, render_workload(trace.name, workload_view(requests)))
