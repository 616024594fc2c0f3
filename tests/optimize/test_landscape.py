"""Curves, maps and tipping points around a choice, under a model whose answer is known."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.ngrams import with_ngrams
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study import ModeMap
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.candidates import full_counts, space_of
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Choice
from dsd_plan.optimize.choices.variation import with_load
from dsd_plan.optimize.outlook.contenders import Contender, Explorer, contenders
from dsd_plan.optimize.outlook.curves import knee, load_curves
from dsd_plan.optimize.outlook.ground import MOST_LOAD, Condition, Ground
from dsd_plan.optimize.outlook.maps import mode_maps, through
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def explored(given: Scenario) -> tuple[Explorer, Ground, Choice]:
    """The distributed plan with everything deployed, and its ground."""
    space = space_of(given)
    bests = {
        mode: Choice(chosen, full_counts(given, chosen))
        for mode in SIMPLEST_FIRST
        if (chosen := next(iter(space.purely(mode).combinations()), None)) is not None
    }
    chosen_plan = bests["distributed"]
    explorer = Explorer(given, stub_model.predict)
    groups = contenders(space, given, chosen_plan, bests)
    return explorer, Ground(explorer, chosen_plan, "chat", groups["chat"]), chosen_plan


GIVEN = scenario(
    rtt_ms=12.0,
    devices=(edge_box(count=6, step_ms=1.5), gpu(count=2, step_ms=25.0, draft_step_ms=9.0)),
    workloads=(chat(rate_per_s=8.0),),
    windows=(1, 2, 3, 4, 6, 8),
)


def test_contenders_share_the_chosen_plans_targets() -> None:
    _, ground, chosen = explored(GIVEN)
    assert [c.mode for c in ground.contenders] == ["target_only", "fused", "distributed"]
    assert {dict(choice.counts)["gpu"] for c in ground.contenders for choice in c.choices} == {
        dict(chosen.counts)["gpu"]
    }
    assert ground.contenders[2].windows == (1, 2, 3, 4, 6, 8)


def test_the_best_window_is_found_from_any_start() -> None:
    _, ground, _ = explored(GIVEN)
    edge = ground.contenders[2]
    today = Condition()
    best = min(ground.tpot_ms(edge, index, today) or 1e9 for index in range(len(edge.windows)))
    for near in edge.windows:
        found = {standing.mode: standing for standing in ground.standings(today, {"distributed": near})}
        assert found["distributed"].tpot_ms == pytest.approx(best)


def test_only_what_a_mode_feels_is_asked_again() -> None:
    """Streamed modes pay no round trip a token, and plain decoding proposes nothing."""
    asked: list[object] = []
    _, ground, chosen = explored(GIVEN)

    def counted(deployed: Deployed) -> Performance:
        asked.append(deployed)
        return stub_model.predict(deployed)

    counting = Ground(Explorer(GIVEN, counted), chosen, "chat", ground.contenders)
    plain, fused, edge = ground.contenders
    asked.clear()
    for rtt_ms in (5.0, 50.0, 100.0):
        for acceptance in (0.4, 0.8):
            counting.tpot_ms(plain, 0, Condition(rtt_ms=rtt_ms, acceptance=acceptance))
            counting.tpot_ms(fused, 0, Condition(rtt_ms=rtt_ms, acceptance=acceptance))
            counting.tpot_ms(edge, 0, Condition(rtt_ms=rtt_ms, acceptance=acceptance))
    assert len(asked) == 1 + 2 + 6


def test_the_knee_is_where_the_first_device_saturates() -> None:
    explorer, _, chosen = explored(GIVEN)
    deployed = explorer.deployed(chosen)
    top = knee(explorer, deployed)
    stub_model.predict(with_load(deployed, 0.999 * top))
    with pytest.raises(UnstableError):
        stub_model.predict(with_load(deployed, 1.001 * top))


def test_a_curve_holds_today_rises_and_ends_at_the_knee() -> None:
    explorer, ground, chosen = explored(GIVEN)
    (curve,) = load_curves(explorer, [chosen])
    loads = [point.load for point in curve.points]
    assert 1.0 in loads
    assert loads == sorted(loads)
    assert loads[0] == pytest.approx(0.1 * ground.knee)
    assert loads[-1] == pytest.approx(1.2 * ground.knee)
    for point in curve.points:
        assert (point.tpot_mean_ms is None) == (point.saturation is not None and point.saturation >= 1.0)
    known = [point.tpot_mean_ms for point in curve.points if point.tpot_mean_ms is not None]
    assert known == sorted(known)
    today = next(point for point in curve.points if point.load == 1.0)
    assert today.tpot_mean_ms == stub_model.predict(explorer.deployed(chosen)).workload("chat").tpot_ms.mean


def rows(found: ModeMap) -> list[list[str]]:
    ys = sorted({cell.y for cell in found.cells})
    return [[c.mode for c in sorted(found.cells, key=lambda c: c.x) if c.y == y] for y in ys]


def test_a_longer_way_never_makes_the_edge_more_attractive() -> None:
    _, ground, _ = explored(GIVEN)
    by_acceptance, by_load, _ = mode_maps([ground])
    assert by_acceptance.here == (pytest.approx(12.0), pytest.approx(0.75))
    assert by_load.here == (pytest.approx(12.0), 1.0)
    for found in (by_acceptance, by_load):
        for row in rows(found):
            edge = [mode == "distributed" for mode in row]
            assert edge == sorted(edge, reverse=True)
    # The map is worth drawing: the edge wins somewhere and loses somewhere.
    assert {mode for row in rows(by_acceptance) for mode in row} == {"target_only", "fused", "distributed"}


def test_better_acceptance_never_helps_plain_decoding() -> None:
    _, ground, _ = explored(GIVEN)
    found, *_ = mode_maps([ground])
    for column in zip(*rows(found), strict=True):
        plain = [mode == "target_only" for mode in column]
        assert plain == sorted(plain, reverse=True)


def test_another_draft_keeps_its_own_acceptance_and_its_own_windows() -> None:
    """At the edge a draft that is known for three proposals; a table on the target, for any number."""
    known = replace(GIVEN.pairs[0], acceptance=AcceptanceLaw(survival=(0.8, 0.6, 0.5)))
    table = Pair(draft="lookup", target="large", acceptance=AcceptanceLaw(per_token=0.4), kind="ngram")
    no_small = gpu(count=2, step_ms=25.0)
    no_small = replace(no_small, profiles={"large": no_small.profiles["large"]})
    given = with_ngrams(replace(GIVEN, pairs=(known, table), devices=(GIVEN.devices[0], no_small)))
    _, ground, _ = explored(given)
    (over_acceptance, *_) = mode_maps([ground])
    assert len({cell.tpot_ms["fused"] for cell in over_acceptance.cells}) == 1
    assert len({cell.tpot_ms["distributed"] for cell in over_acceptance.cells}) > 1


def test_a_cell_tells_every_modes_best_and_the_margin() -> None:
    _, ground, _ = explored(GIVEN)
    found, *_ = mode_maps([ground])
    for cell in found.cells:
        times = sorted(ms for ms in cell.tpot_ms.values() if ms is not None)
        assert cell.tpot_ms[cell.mode] == times[0]
        assert cell.margin == pytest.approx(times[1] / times[0] - 1.0)


def test_cells_that_nothing_can_serve_are_left_out() -> None:
    _, ground, _ = explored(GIVEN)
    _, found, _ = mode_maps([ground])
    assert max(cell.y for cell in found.cells) < ground.load_range[1]
    assert all(cell.tpot_ms[cell.mode] is not None for cell in found.cells)


def test_prompts_of_other_lengths_are_mapped_around_todays() -> None:
    _, ground, _ = explored(GIVEN)
    *_, found = mode_maps([ground])
    assert (found.x_name, found.y_name) == ("rtt_ms", "prompt_tokens")
    assert found.here == (pytest.approx(12.0), ground.prompt_tokens)
    factors = sorted({cell.y / ground.prompt_tokens for cell in found.cells})
    assert factors == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0], rel=0.01)
    today = ground.standings(Condition(rtt_ms=found.here[0]), ground.near)
    here = next(cell for cell in found.cells if (cell.x, cell.y) == found.here)
    assert here.mode == today[0].mode
    assert here.tpot_ms[here.mode] == pytest.approx(today[0].tpot_ms)


def test_a_workload_with_one_mode_has_no_map() -> None:
    explorer, ground, chosen = explored(GIVEN)
    alone = Ground(explorer, chosen, "chat", ground.contenders[:1])
    assert mode_maps([alone]) == ()


def test_loads_are_all_distinct() -> None:
    explorer, _, chosen = explored(GIVEN)
    (curve,) = load_curves(explorer, [chosen])
    assert all(a.load < b.load for a, b in pairwise(curve.points))


def test_a_contender_is_what_it_says() -> None:
    _, ground, _ = explored(GIVEN)
    for contender in ground.contenders:
        assert isinstance(contender, Contender)
        for window, choice in zip(contender.windows, contender.choices, strict=True):
            assert choice.candidates[0].mode == contender.mode
            assert (choice.candidates[0].window or 0) == window


def test_a_map_passes_through_the_scenario_itself() -> None:
    assert through(10.0, (1.0, 4.0, 9.0, 30.0)) == (1.0, 4.0, 10.0, 30.0)
    assert through(500.0, (1.0, 200.0)) == (1.0, 500.0)
    assert through(0.5, (1.0, 200.0)) == (0.5, 200.0)


def test_a_map_ends_where_nobody_plans() -> None:
    _, ground, _ = explored(GIVEN)
    ground.knee = 77_000.0
    assert ground.load_range == (0.5, MOST_LOAD)


def test_windows_that_are_far_from_better_go_unasked_along_a_way_and_change_no_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def counted(deployed: Deployed) -> Performance:
        asked.append(deployed)
        return stub_model.predict(deployed)

    _, known, chosen = explored(GIVEN)
    spared = mode_maps([Ground(Explorer(GIVEN, counted), chosen, "chat", known.contenders)])
    few = len(asked)
    asked.clear()
    monkeypatch.setattr(sys.modules[Ground.__module__], "SURELY_SLOWER", float("inf"))
    every = mode_maps([Ground(Explorer(GIVEN, counted), chosen, "chat", known.contenders)])
    assert spared == every
    assert few < len(asked)
