"""Markdown for a ticket: the same facts, and no character of a name means anything."""

from __future__ import annotations

from dsd_plan.report import render_markdown
from dsd_plan.report.html_markdown import html_markdown
from dsd_plan.report.inert import inert, inert_cell, inert_prose
from dsd_plan.report.tables import Number, Table, table_texts
from tests.report.studies import full_study, hostile, tiny_study


def test_it_says_what_the_terminal_says() -> None:
    text = render_markdown(full_study())
    assert text.startswith("# two-clinics\n\n**Speculate.** Draft at the clinics with window 4")
    assert "| **chosen** | draft at the edge | 36.1 ms ✓ | 27.4 ms | 482 ms ✓ | 5.20 |" in text
    assert "| ✓ | TPOT p95 of chat | 36.1 ms |" in text
    assert "- **Breaks first:** With the plan as it is, TPOT p95 of chat keeps its budget of 45 ms up to 1.4 ×" in text


def test_rows_have_as_many_cells_as_their_heading() -> None:
    for study in (full_study(), tiny_study(), hostile(full_study())):
        for block in render_markdown(study).split("\n\n"):
            rows = [line for line in block.splitlines() if line.startswith("| ")]
            assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1


def test_names_are_inert() -> None:
    assert inert("<b>|x|[y](z)`") == "&lt;b&gt;\\|x\\|\\[y\\](z)\\`"
    assert inert("a_b __c__ *d* #1 @me") == "a_b \\_\\_c\\_\\_ \\*d\\* \\#1 \\@me"
    assert inert("- a") == "\\- a"
    assert inert_cell("+1.2 %") == "+1.2 %"
    assert inert("1. a") == "1\\. a"
    assert inert("−0.3 (x)") == "−0.3 (x)"


def test_commands_in_prose_stay_code() -> None:
    assert inert_prose("Run `a | b_c` or *d*") == "Run `a | b_c` or \\*d\\*"
    assert inert_prose("a ` b <i>") == "a \\` b &lt;i&gt;"
    assert inert_prose("`x` and `") == "`x` and \\`"
    text = render_markdown(hostile(full_study()))
    assert "<script" not in text
    assert "\u202e" not in text


def test_it_has_the_sections_of_the_page_in_their_order() -> None:
    text = render_markdown(full_study())
    places = [text.index(f"\n## {number}. ") for number in range(2, 10)]
    assert places == sorted(places)
    assert text.count("**So what?**") == 8
    assert "| distributed | 12.4 | 10.1 | 9.60 | 30.2 | 10.1 |" in text
    assert "- **Seed:** 1" in text
    assert "<" not in text.replace("&lt;", "")


def test_a_picture_of_a_chart_stands_where_it_was_asked_for() -> None:
    assert "![" not in render_markdown(full_study())
    assert "](figures/load-0.svg)" in render_markdown(full_study(), {"load-0": "figures/load-0.svg"})


def test_html_becomes_lines() -> None:
    html = (
        "<h3>Facts &amp; more</h3><dl><dt>Seed</dt><dd><bdi>1</bdi></dd>"
        "<dt>Command</dt><dd><code>a *b*</code></dd></dl>"
        "<svg><title>hidden</title><text>hidden</text></svg><ul><li>one</li><li>two</li></ul><p>Last.</p>"
    )
    assert html_markdown(html) == [
        *("### Facts &amp; more", "", "- **Seed:** 1", "- **Command:** a \\*b\\*", "- one", "- two", "", "Last."),
    ]


def test_cells_read_as_on_the_page() -> None:
    rows = (
        (Number(31.42, "ms", "measured", kept=True), Number(0.5, "%"), "x"),
        (Number(None, "ms"), Number(None, "%"), "y"),
    )
    headings, cells = table_texts(Table("t", ("Time", "Share", "Name"), rows))
    assert headings == ["Time, ms", "Share, %", "Name"]
    assert cells == [["31.4\u202f●\u202f✓", "50.0", "x"], ["–", "–", "y"]]
    mixed = ((Number(31.42, "ms"),), (Number(2.0, "J"),))
    assert table_texts(Table("t", ("Value",), mixed))[1] == [["31.4\u202fms"], ["2.00\u202fJ"]]
