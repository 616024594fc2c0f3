"""What may be chosen, and the plans that choices say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace, TraceMetadata
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import ModelSpec
from dsd_plan.domain.scenario import Pair, Search
from dsd_plan.optimize.choices.candidates import Space, cost_per_hour, device_total, full_counts, plan_of, space_of
from dsd_plan.optimize.choices.choice import Candidate, Choice, compatible
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def round_trace(most: int) -> RoundTrace:
    metadata = TraceMetadata("small", "large", "0", "argmax", "test", "1")
    proposed = np.full(40, most, dtype=np.int64)
    return RoundTrace(metadata, np.repeat(np.arange(10), 4), proposed, proposed // 2)


def test_every_mode_with_every_window_on_what_has_the_profiles() -> None:
    (group,) = space_of(scenario(windows=(1, 2, 4))).by_workload
    assert [(c.mode, c.draft_device, c.window) for c in group] == [
        ("target_only", None, None),
        *(("fused", "gpu", window) for window in (1, 2, 4)),
        *(("distributed", "edge-box", window) for window in (1, 2, 4)),
    ]


def test_what_goes_on_ahead_is_listed_only_where_modes_are_named() -> None:
    """By default it is tried around the best plans, and of many workloads left out with a note (test_ahead)."""
    (usual,) = space_of(replace(scenario(), search=Search())).by_workload
    (named,) = space_of(scenario(modes=("target_only", "pipelined"))).by_workload
    assert {c.mode for c in usual} == {"target_only", "fused", "distributed"}
    assert {c.mode for c in named} == {"target_only", "pipelined"}


def test_windows_end_where_acceptance_was_measured() -> None:
    given = replace(
        scenario(windows=(1, 3, 8)), pairs=(Pair(draft="small", target="large", acceptance=round_trace(3)),)
    )
    space = space_of(given)
    assert {c.window for c in space.by_workload[0] if c.window} == {1, 3}
    assert any("windows above 3 are left out" in note for note in space.notes)


def test_a_device_without_the_memory_is_left_out_with_the_reason() -> None:
    given = replace(
        scenario(), models=(ModelSpec(name="small", weights_gib=20.0), ModelSpec(name="large", weights_gib=70.0))
    )
    space = space_of(given)
    assert {c.mode for c in space.by_workload[0]} == {"target_only", "fused"}
    assert any("'small' needs 20.0 GiB, 'edge-box' has 16.0" in note for note in space.notes)


def test_every_plan_of_the_space_can_be_deployed_and_costs_what_its_choice_says() -> None:
    given = scenario(
        devices=(edge_box(count=3, batch_cap=8), gpu(count=2)), workloads=(chat(), chat(name="notes", rate_per_s=1.0))
    )
    chosen_together = list(space_of(given).combinations())
    assert len(chosen_together) == 49
    for chosen in chosen_together:
        choice = Choice(chosen, full_counts(given, chosen))
        deployed = deploy(given, plan_of(given, choice))
        assert deployed.cost_per_hour == pytest.approx(cost_per_hour(given, choice.counts))
        assert sum(deployed.replicas_used().values()) == device_total(given, choice.counts)


def test_a_device_type_does_one_thing_at_a_time() -> None:
    drafts = Candidate("a", "distributed", "large", "gpu", "small", "box", 2)
    targets = Candidate("b", "target_only", "large", "box")
    other_target = Candidate("b", "target_only", "huge", "gpu")
    other_draft = Candidate("b", "distributed", "large", "gpu", "tiny", "box", 2)
    fused, other_fused = (
        Candidate(w, "fused", "large", "gpu", m, "gpu", 2) for w, m in (("a", "small"), ("b", "tiny"))
    )
    assert compatible((drafts, replace(drafts, workload="b", window=4)))
    assert not compatible((drafts, targets))
    assert not compatible((drafts, other_target))
    assert not compatible((drafts, other_draft))
    assert not compatible((fused, other_fused))


def test_spaces_within_the_space() -> None:
    given = scenario(workloads=(chat(), chat(name="notes")))
    space = space_of(given)
    assert {c.mode for group in space.purely("fused").by_workload for c in group} == {"fused"}
    partly = list(space.partly("fused").combinations())
    assert all("fused" in {c.mode for c in chosen} for chosen in partly)
    assert any("target_only" in {c.mode for c in chosen} for chosen in partly)
    assert all({c.mode for c in chosen} != {"target_only"} for chosen in space.speculating().combinations())


def test_a_workload_that_cannot_draft_runs_plainly_beside_those_that_can() -> None:
    """No edge box at the ward: "every workload at the edge" leaves it plain rather than empty."""
    given = scenario(workloads=(chat(), chat("region", name="ward")))
    chosen = list(space_of(given).purely("distributed").combinations())
    assert {c[1].mode for c in chosen} == {"target_only"}


def test_a_law_given_by_position_ends_the_windows_too() -> None:
    pair = Pair(draft="small", target="large", acceptance=AcceptanceLaw(survival=(0.8, 0.6)))
    space = space_of(replace(scenario(windows=(1, 2, 4)), pairs=(pair,)))
    assert {c.window for c in space.by_workload[0] if c.window} == {1, 2}


def test_paths_are_those_whose_rounds_were_recorded() -> None:
    """Half of the rounds on one path, half on two: plans may take either, in both modes that verify several."""
    rounds = RoundTrace(
        TraceMetadata("small", "large", "0", "argmax", "test", "1"),
        np.repeat(np.arange(4), 10),
        np.full(40, 4),
        np.tile([0, 2, 4, 1], 10),
        candidates=np.repeat([1, 2], 20),
    )
    given = scenario(windows=(2, 4), modes=("target_only", "fused", "distributed", "pipelined", "edge_only")[:3])
    given = replace(given, pairs=(replace(given.pairs[0], acceptance=rounds),))
    space = space_of(given)
    assert isinstance(space, Space)
    (group,) = space.by_workload
    assert {(c.mode, c.paths) for c in group} == {
        ("target_only", 1),
        ("fused", 1),
        ("fused", 2),
        ("distributed", 1),
        ("distributed", 2),
    }
    two = next(c for c in group if c.paths == 2)
    plan = plan_of(given, Choice((two,), full_counts(given, (two,))))
    assert plan.assignments[0].candidates == 2
    assert deploy(given, plan).streams[0].acceptance is not None


def test_what_goes_on_ahead_needs_acceptance_one_position_further() -> None:
    law = AcceptanceLaw(survival=(0.8, 0.6, 0.5, 0.4), measured_window=4)
    given = scenario(windows=(2, 3, 4), modes=("target_only", "distributed", "pipelined"))
    given = replace(given, pairs=(replace(given.pairs[0], acceptance=law),))
    space = space_of(given)
    assert isinstance(space, Space)
    (group,) = space.by_workload
    assert {c.window for c in group if c.mode == "distributed"} == {2, 3, 4}
    assert {c.window for c in group if c.mode == "pipelined"} == {2, 3}
