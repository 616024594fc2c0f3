"""A fleet of a thousand sites stays readable: a page that can be sent, the worst named, the rest counted."""

from __future__ import annotations

import pytest

from dsd_plan.report import render_html, render_text
from dsd_plan.report.reading import key_metric
from tests.report.large import thousand_sites
from tests.report.test_page import LARGEST_PAGE_BYTES, Page, section_text


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(thousand_sites())


def test_the_page_of_a_thousand_sites_can_be_sent(html: str) -> None:
    assert len(html.encode()) < LARGEST_PAGE_BYTES


def test_no_table_draws_hundreds_of_rows(html: str) -> None:
    for table in html.split("<table")[1:]:
        assert table[: table.index("</table>")].count("<tr") < 100


def test_the_broken_budgets_come_first(html: str) -> None:
    plan = section_text(html, "plan")
    budgets = plan[plan.index("Which budgets are kept") :]
    assert budgets.index("chat-0099") < budgets.index("chat-0199") < budgets.index("more")
    assert "How is TPOT p95 spread over 1,000 workloads?" in plan


def test_charts_are_few_and_what_is_left_out_is_said(html: str) -> None:
    assert len(Page(html).with_class("plot")) < 60
    assert "Load was drawn for 8 workloads, not for 992 more." in section_text(html, "load")
    assert "The study also holds rounds of 988 more workloads." in section_text(html, "why")


def test_the_page_leads_with_the_budget_nearest_to_breaking() -> None:
    key = key_metric(thousand_sites())
    assert key is not None
    assert key.workload == "chat-0007"  # of the eight that were drawn


def test_the_terminal_holds_it_too() -> None:
    assert len(render_text(thousand_sites()).splitlines()) > 10
