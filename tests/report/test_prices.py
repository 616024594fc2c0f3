"""Who pays: sentences for a terminal, a table for the page."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.attribution import DeviceTime, TokenRates, Work, attribution, workload_prices
from dsd_plan.report import render_html, render_text
from tests.report import studies


def test_verification_has_its_price_in_the_terminal_and_on_the_page() -> None:
    """A device at 3.6 an hour verifies a quarter of its time, drafts a quarter; 100 tokens/s, 50 of them drafted."""
    work = (Work("chat", "verify", 0.25, 400.0), Work("chat", "drafts accepted", 0.25, 200.0))
    tokens = {"chat": TokenRates(100.0, 50.0)}
    rows = attribution([DeviceTime("gpu", 1, 3.6, 100.0, work)], tokens)
    prices = workload_prices(rows, tokens, {"chat": 8.0})
    # With the idle half, verifying costs 1.8 an hour or .0005 a second: 10 a million at 50 a second. It draws
    # 100 + 25 W: 2.5 J an accepted token, 2.5 MJ or .694 kWh a million. All of it for every output token: .001 a second
    # at 100 a second.
    words = (
        "10 a million output tokens in all; verification costs 10 and takes 0.694 kWh a million accepted tokens, "
        "with drafting 20; idle time included"
    )
    assert prices[0].sentence == words
    study = replace(studies.full_study(), attribution=rows, prices=prices)
    assert f"chat: {words}" in " ".join(render_text(study).split())
    assert "Cost a million accepted" in render_html(study)
