"""Markdown for a ticket: the same facts, and no character of a name means anything."""

from __future__ import annotations

from dsd_plan.report import render_markdown
from dsd_plan.report.markdown import inert
from tests.report.studies import full_study, hostile, tiny_study


def test_it_says_what_the_terminal_says() -> None:
    text = render_markdown(full_study())
    assert text.startswith("# two\\-clinics\n\n**Speculate.** Draft at the clinics with window 4")
    assert "| **chosen** | draft at the edge | 36.1 ms ✓ | 27.4 ms | 482 ms ✓ | 5.20 |" in text
    assert "| ✓ | TPOT p95 of chat | 36.1 ms |" in text
    assert "- **Breaks first:** Traffic may grow to 1.4 × today's" in text


def test_rows_have_as_many_cells_as_their_heading() -> None:
    for study in (full_study(), tiny_study(), hostile(full_study())):
        for block in render_markdown(study).split("\n\n"):
            rows = [line for line in block.splitlines() if line.startswith("| ")]
            assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1


def test_names_are_inert() -> None:
    assert inert("<b>|x|[y](z)`") == "&lt;b&gt;\\|x\\|\\[y\\]\\(z\\)\\`"
    text = render_markdown(hostile(full_study()))
    assert "<script" not in text
    assert "\u202e" not in text
