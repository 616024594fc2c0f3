"""A column of numbers has one unit and one decimal point."""

from __future__ import annotations

import json

from dsd_plan.report.markup import Html
from dsd_plan.report.tables import (
    FIGURE_SPACE,
    MOST_KEPT,
    MOST_SHOWN,
    PUNCTUATION_SPACE,
    Number,
    Table,
    Words,
    given_cell,
    named,
    quantity_cell,
    records_table,
    table_html,
    table_texts,
)


def column(*cells: Number) -> Html:
    return table_html(Table("t", ("A",), tuple((cell,) for cell in cells)), "t1")


def test_numbers_are_aligned_on_the_decimal_point() -> None:
    html = column(Number(31.42), Number(2900.0), Number(0.5))
    assert f'31.4<span aria-hidden="true">{FIGURE_SPACE * 2}</span>' in html
    assert f'2,900<span aria-hidden="true">{PUNCTUATION_SPACE}{FIGURE_SPACE * 3}</span>' in html
    assert ">0.500</td>" in html


def test_a_unit_that_a_column_shares_stands_in_its_heading() -> None:
    html = column(Number(31.4, "ms"), Number(290.0, "ms"))
    assert '>A<span class="in"><span class="comma">, </span>ms</span></th>' in html
    assert 'class="unit"' not in html


def test_a_column_of_seconds_says_so() -> None:
    html = column(Number(1270.0, "ms"), Number(2000.0, "ms"))
    assert '>A<span class="in"><span class="comma">, </span>s</span></th>' in html
    assert ">1.27</td>" in html
    assert 'data-raw="1270.0"' in html


def test_a_mixed_column_says_each_unit() -> None:
    html = column(Number(31.4, "ms"), Number(0.95, "%"))
    assert ">A</th>" in html
    assert html.count('class="unit"') == 2
    assert ">95.0<" in html


def test_what_is_not_known_is_never_zero() -> None:
    html = column(Number(None, "J/token", unknown="not known"))
    assert "not known" in html
    assert ">0" not in html
    assert 'data-raw=""' in html


def test_a_broken_budget_is_said_without_colour() -> None:
    html = column(Number(50.0, "ms", kept=False), Number(30.0, "ms", kept=True))
    assert 'aria-label="broken">✗' in html
    assert 'aria-label="kept">✓' in html


def test_limits_are_shown_as_they_were_written() -> None:
    assert ">45</td>" in column(given_cell("tpot_p95_ms", 45.0))
    assert ">95</td>" in column(given_cell("goodput_share", 0.95))


def test_no_value_has_no_mark() -> None:
    assert quantity_cell("tpot_p95_ms", None, "declared").origin is None


def test_sorting_and_saving_take_the_raw_value() -> None:
    html = table_html(Table("t", ("A", "B"), ((named("<x>"), Words(Html("<b>2</b>"), '"2"')),)), "t1")
    assert 'data-raw="&lt;x&gt;"' in html
    assert 'data-raw="&quot;2&quot;"' in html
    assert "<b>2</b>" in html


def test_records_keep_every_key_and_reckon_nothing() -> None:
    table = records_table("t", ({"mode": "fused", "window": 4, "tpot_ms": 31.4}, {"mode": "<i>", "note": None}), "f")
    assert table.columns == ("mode", "window", "TPOT", "note")
    html = table_html(table, "t1")
    assert ">4<" in html
    assert "&lt;i&gt;" in html
    assert "<i>" not in html


def test_an_empty_table_says_so() -> None:
    assert ">none</td>" in table_html(Table("t", ("A",), ()), "t1")


def rows_of(many: int) -> Table:
    return Table(
        "t", ("A", "B"), tuple((named(f"row <{at}>"), Number(float(at), "ms", "declared")) for at in range(many))
    )


def test_a_short_table_is_drawn_whole() -> None:
    html = table_html(rows_of(MOST_SHOWN + MOST_SHOWN // 2), "t1")
    assert html.count("<tr") == 1 + MOST_SHOWN + MOST_SHOWN // 2
    assert "more" not in html


def test_a_long_table_shows_its_first_rows_and_holds_the_others_as_text() -> None:
    html = table_html(rows_of(100), "t1")
    assert html.count("<tr") == 1 + MOST_SHOWN
    assert f"and {100 - MOST_SHOWN} more<" in html
    rest = json.loads(html.partition('class="rest">')[2].partition("</script>")[0])
    assert len(rest) == 100 - MOST_SHOWN
    assert rest[0] == [f"row <{MOST_SHOWN}>", ["12.0\u202f◇", "12.0"]]
    assert rest[-1] == ["row <99>", ["99.0\u202f◇", "99.0"]]


def test_rows_beyond_what_a_page_can_carry_are_said_to_be_in_the_study() -> None:
    html = table_html(rows_of(MOST_KEPT + 500), "t1")
    assert "; 500 of them are in the study alone" in html
    assert len(json.loads(html.partition('class="rest">')[2].partition("</script>")[0])) == MOST_KEPT - MOST_SHOWN


def test_words_set_apart_by_their_looks_are_apart_in_text() -> None:
    lines = Words(Html('<span class="line">14 × edge-box</span><span class="line">4 × h100</span>'), "")
    why = Words(Html('<span class="tag">chosen</span> the cheapest'), "")
    _, rows = table_texts(Table("Options", ("Devices", "Why"), ((lines, why),)))
    assert rows == [["14 × edge-box, 4 × h100", "chosen: the cheapest"]]


def test_a_time_far_below_a_millisecond_is_said_to_be_short() -> None:
    _, rows = table_texts(Table("Parts", ("Uplink",), ((Number(6.33e-7, "ms"),), (Number(0.0, "ms"),))))
    assert [row[0] for row in rows] == ["< 0.001", "0"]
