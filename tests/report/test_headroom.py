"""How much more load the plan carries: what to buy next, what may be lost, what breaks first."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.capacity import Capacity
from dsd_plan.report.blocks import Chart, Folded, Prose
from dsd_plan.report.capacity import capacity_section, what_breaks_first
from dsd_plan.report.decision import load_answer
from dsd_plan.report.headroom import breaks_first, buy_next, headroom_blocks, may_be_lost
from dsd_plan.report.numbers import multiple
from dsd_plan.report.reading import key_metric
from dsd_plan.report.tables import Table, table_texts
from dsd_plan.report.terminal import render_text
from tests.report.rich import STEPS, capacity, rich_study
from tests.report.studies import full_study


def plain(text: str) -> str:
    return text.replace("\u2068", "").replace("\u2069", "").replace("\u202f", " ")


def test_what_breaks_first_is_told_with_its_load_and_reason_on_page_and_terminal() -> None:
    said = (
        "With the plan as it is, TPOT p95 of chat keeps its budget of 45 ms up to 1.31 × today's load and is the first "
        "to break because gpu-server is short of steps."
    )
    assert plain(breaks_first(capacity())) == said
    assert plain(what_breaks_first(rich_study())).startswith(said)
    assert plain(str(capacity_section(rich_study()).so_what)).startswith(said)
    assert said in " ".join(plain(render_text(rich_study())).split())


def test_the_words_under_the_curve_name_the_load_that_capacity_names() -> None:
    study = rich_study()
    key = key_metric(study)
    assert key is not None
    assert study.capacity is not None
    (row,) = (row for row in study.capacity.budgets if (row.scope, row.budget) == (key.workload, key.metric))
    assert row.load is not None
    named = f"up to {multiple(row.load)} × today's load, by the model as the replay corrects it"
    assert named in load_answer(study, key)
    assert "as the replay corrects it" not in load_answer(replace(study, capacity=None), key)


def test_a_study_without_capacity_says_what_its_curves_say() -> None:
    assert headroom_blocks(None) == []
    assert "short of" not in what_breaks_first(full_study())


def test_the_device_that_buys_the_most_load_for_its_cost_is_named() -> None:
    assert plain(buy_next(capacity())) == (
        "Add gpu-server next: one more (more than the scenario has) carries 1.81 × today's load instead of 1.31 ×, "
        "for 2.00 an hour, 0.250 × today's load a unit of cost."
    )
    free = tuple(replace(row, cost_per_hour=0.0, gain_per_cost=None) for row in capacity().one_more)
    assert plain(buy_next(replace(capacity(), one_more=free))).endswith("instead of 1.31 ×, at no cost.")
    nothing = capacity().one_more[1:]
    assert buy_next(replace(capacity(), one_more=nothing)).startswith("One more of no device type carries more load")
    assert buy_next(replace(capacity(), load=None)) == "Nothing needs to be bought for more load."


def test_what_may_not_be_lost_is_named() -> None:
    assert plain(may_be_lost(capacity())) == (
        "There is no spare for the loss of a device: one gpu-server less breaks TPOT p95 of chat."
    )
    spare = replace(capacity(), one_less=capacity().one_less[1:])
    assert may_be_lost(spare) == "One device of any type may be lost: every budget is kept at today's load."
    lost = replace(capacity().one_less[0], load=0.0, count=0, reason="the only gpu-server is lost: chat is not served")
    assert plain(may_be_lost(replace(capacity(), one_less=(lost,)))).endswith("device: gpu-server is the only one.")
    unfit = replace(lost, count=1, reason="target-7b does not fit")
    assert plain(may_be_lost(replace(capacity(), one_less=(unfit,)))).endswith(
        "device: with one gpu-server less, target-7b does not fit."
    )
    assert may_be_lost(replace(capacity(), holds_now=False, load=0.8)) == ""


def test_the_bars_reach_from_one_less_to_one_more() -> None:
    chart, budgets, following = headroom_blocks(capacity())
    assert isinstance(chart, Chart)
    (bars,) = chart.data
    assert bars["base"] == [0.7, 1.31]
    assert [round(x, 9) for x in bars["x"]] == [1.11, 0.001]
    assert isinstance(budgets, Folded)
    assert isinstance(following, Folded)
    assert isinstance(following.body, Table)
    assert [row[0] for row in following.body.rows] == ["as it is", "also without limit on \u2068gpu-server\u2069"]


def test_where_no_other_bottleneck_follows_that_is_said() -> None:
    said = headroom_blocks(replace(capacity(), next_limits=capacity().next_limits[:1]))[-1]
    assert isinstance(said, Prose)
    assert plain(str(said.text)).startswith("No other bottleneck comes soon after gpu-server: with no limit on it")


def test_the_numbers_of_each_device_are_a_table() -> None:
    chart = headroom_blocks(capacity())[0]
    assert isinstance(chart, Chart)
    assert chart.numbers is not None
    headings, rows = table_texts(chart.numbers)
    told = dict(zip(headings, rows[0], strict=True))
    assert told["Headroom, %"] == "34.0"
    assert told["One more holds, ×"] == "1.81"
    assert told["Load gained a unit of cost"] == "0.250"
    assert told["N+1"] == "✗"
    assert dict(zip(headings, rows[1], strict=True))["Load gained a unit of cost"] == "0"


def test_every_end_of_growth_has_its_words() -> None:
    def said(**changes: object) -> str:
        found: Capacity = replace(capacity(), **changes)  # type: ignore[arg-type]
        return plain(breaks_first(found))

    assert said(load=None, breaks=None) == "Every budget holds up to 64 × today's load, the most that was tried."
    assert said(breaks="saturation", load=1.5, budgets=()) == (
        "A steady state holds up to 1.50 × today's load; then no steady state is left because gpu-server is short of "
        "steps."
    )
    assert said(holds_now=False, load=0.8) == (
        "TPOT p95 of chat breaks its budget of 45 ms at today's load already: it is kept up to 0.80 × today's load, "
        "because gpu-server is short of steps."
    )
    assert said(holds_now=False, load=0.8, breaks="saturation").startswith("No steady state is left beyond 0.80 ×")
    nothing = replace(STEPS, name=None, why="nothing_shared")
    assert said(bottleneck=nothing).endswith("because steps and round trip alone take that long.")


def test_the_busiest_hour_is_named_where_loads_follow_the_hours() -> None:
    study = rich_study()
    assert "busiest hour" not in plain(what_breaks_first(study))
    of_hours = replace(study, capacity=replace(capacity(), of_busiest_hour=True))
    assert "Today's load is that of the day's busiest hour." in plain(what_breaks_first(of_hours))
