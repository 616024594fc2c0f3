"""The day, the loss of all drafts, the present system and the front."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.report.blocks import Chart, Prose
from dsd_plan.report.decision import options_table, split_sentence
from dsd_plan.report.front import front_chart
from dsd_plan.report.present import present_blocks
from dsd_plan.report.reading import key_metric
from dsd_plan.report.resilience import resilience_blocks
from dsd_plan.report.tables import Number, Table, Words
from tests.report.rich import lost, rich_study
from tests.report.studies import full_study


def test_the_tightest_hour_is_named_and_a_broken_one_is_red() -> None:
    day = resilience_blocks(rich_study())[0]
    assert isinstance(day, Chart)
    assert str(day.answer).startswith("At 23:00, when TPOT p95 of \u2068chat\u2069 uses 110\u202f% of its budget")
    assert str(day.answer).endswith("a budget is broken in 1 hours.")
    colours = day.data[0]["marker"]["color"]
    assert [at for at, colour in enumerate(colours) if "broken" in colour] == [23]


def test_what_the_loss_of_all_drafts_breaks_is_told() -> None:
    table = resilience_blocks(rich_study())[1]
    assert isinstance(table, Table)
    (row,) = table.rows
    assert isinstance(row[1], Words)
    assert row[1].raw == "no"
    assert isinstance(row[6], Words)
    assert row[6].raw == "chat TPOT p95: – for 45\u202fms; chat TPOT p95: – for 45\u202fms"
    assert row[6].html.endswith("; and 1 more")
    assert row[7] == "3 × gpu-server"


def test_a_study_that_knows_neither_says_nothing() -> None:
    assert resilience_blocks(full_study()) == []
    assert present_blocks(full_study()) == []


def test_options_are_compared_by_month_and_worst_hour_where_a_day_is_known() -> None:
    study = rich_study()
    table = options_table(study, study.options, key_metric(study), "Options")
    assert table.columns == ("Option", "TPOT p95", "TTFT p95", "Worst hour", "Cost a month", "Devices", "Why")
    chosen = table.rows[next(iter(table.chosen))]
    assert isinstance(chosen[4], Number)
    assert chosen[4].value == 730 * 5.2
    assert isinstance(chosen[6], Words)
    assert chosen[6].raw.endswith("; does not survive the loss of all drafts")
    surviving = tuple(replace(o, drafts_lost=o.drafts_lost and lost(survives=True)) for o in study.options)
    rows = options_table(study, surviving, key_metric(study), "Options").rows
    assert any(isinstance(row[6], Words) and row[6].raw.endswith("; survives the loss of all drafts") for row in rows)


def test_the_present_system_stands_beside_its_prediction() -> None:
    said, table, carried = present_blocks(rich_study())
    assert isinstance(said, Prose)
    assert isinstance(table, Table)
    assert [cell.value for cell in table.rows[0] if isinstance(cell, Number)] == [36.0, 35.0, 40.0, 0.9]
    assert isinstance(carried, Prose)
    assert "TPOT 10.5\u202f%" in str(carried.text)


def test_the_front_is_drawn_over_what_its_plans_differ_in() -> None:
    chart = front_chart(replace(rich_study(), pareto_axes=("cost", "tpot")))
    assert chart is not None
    assert [trace["x"] for trace in chart.data] == [[5.2], [8.0, 12.0], [5.2]]
    assert str(chart.answer) == (
        "The cheapest plan takes 5.20 an hour at a mean TPOT of 27.4 ms; the fastest 12.0 an hour at 22.0 ms."
    )
    alike = tuple(replace(p, cost_per_hour=8.0, devices=at) for at, p in enumerate(rich_study().pareto, 2))
    # Plans met on the way are no front that was searched for: the fastest of them need not be the fastest there is.
    met = front_chart(rich_study())
    assert met is not None
    assert str(met.answer).startswith("Of the plans met on the way, the cheapest takes 5.20 an hour")
    assert str(met.answer).endswith("not searched for: `optimize --pareto cost,tpot` does that.")
    over_devices = front_chart(replace(rich_study(), pareto=alike))
    assert over_devices is not None
    assert over_devices.question == "What does a lower latency take in devices?"
    assert front_chart(replace(rich_study(), pareto=rich_study().pareto[:2])) is None


def test_a_long_headline_ends_before_its_but() -> None:
    words = "Draft beside the target " + "and so on " * 14
    headline, rest = split_sentence(f"{words}, but p95 TTFT rises from 160 to 197 ms. This holds if it is so.")
    assert headline == f"{words}."
    assert rest.startswith("But p95 TTFT rises")


def test_a_headline_without_an_end_of_its_own_takes_two_lines() -> None:
    """It ends before a number of its own: at the last one with which it still fits."""
    place = "Draft beside the target on server with window 1, not at the edge"
    kept = "p95 TPOT of remote-chat 1.28 ms (1.27–1.29) for a budget of 10 ms"
    gain = "mean TPOT 29 % ± 2.6 % lower than plain decoding's, and more"
    assert split_sentence(f"{place}: {kept}, {gain}; and so on.") == (
        f"{place}: {kept}.",
        f"Mean{gain.removeprefix('mean')}; and so on.",
    )
    longer = place.replace("server", "a server with quite a long name, of which there are several")
    headline, rest = split_sentence(f"{longer}: {kept}, {gain}; and so on.")
    assert headline == f"{longer}."
    assert rest.startswith("P95 TPOT of remote-chat")
    assert split_sentence("Word " * 60) == ("Word " * 60, "")
