"""Draft devices worked by hand: drafting ahead, several paths, several devices, several jobs at once."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.errors import PlanError
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.load import draft_saturation, unloaded_ms
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, recorded, round_trace, system, token_trace
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical

ALL = AcceptanceLaw(per_token=1.0)
NONE = AcceptanceLaw(per_token=0.0)


def lone(acceptance: AcceptanceLaw, draft_step_ms: float = 5.0, output: int = 101, window: int = 4) -> Deployed:
    """N = 20 ms, t_v = 20 + .2·(γ + 1)."""
    return system(
        closed(1, 0.0, 100, output),
        mode="pipelined",
        window=window,
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, active_w=100.0),
        draft=StepLaw(step_ms=draft_step_ms, active_w=30.0),
        acceptance=acceptance,
        idle_w=10.0,
    )


@pytest.mark.parametrize(
    ("step_ms", "total_ms"),
    [
        pytest.param(5.0, 20 + 20 * 41.0, id="the guess is done before the verdict"),
        pytest.param(15.0, 60 + 19 * 75.0 + 41.0, id="the verdict waits for the guess"),
    ],
)
def test_right_guesses_hide_the_shorter_of_draft_and_round_trip(step_ms: float, total_ms: float) -> None:
    """100 tokens in 20 rounds: γ·t_d once, then max(5·t_d, 20 + 21) a round; the last one ends with its verdict."""
    deployed = lone(ALL, step_ms)
    performance = replay(deployed, requests=20, replications=1)
    chat, box = performance.workload("chat"), performance.devices[1]
    assert chat.tpot_ms.mean == pytest.approx(total_ms / 100)
    assert chat.rounds_per_request == 20.0
    assert unloaded_ms(deployed, deployed.streams[0]) == pytest.approx(50 - 10 + 20 * max(5 * step_ms, 41.0))
    assert box.wasted == pytest.approx(min(5 * step_ms, 41.0) / (box.busy * (40 + total_ms)))


@pytest.mark.parametrize(
    ("step_ms", "ahead_ms"),
    [pytest.param(5.0, 25.0, id="done and thrown away"), pytest.param(15.0, 41.0, id="stopped by the verdict")],
)
def test_a_wrong_guess_costs_energy_and_no_time(step_ms: float, ahead_ms: float) -> None:
    """No token is accepted: 100 rounds of 4·t_d + 41 ms as in distributed, and all that was drafted ahead is wasted."""
    performance = replay(lone(NONE, step_ms), requests=20, replications=1)
    chat, box = performance.workload("chat"), performance.devices[1]
    round_ms = 4 * step_ms + 41.0
    assert chat.tpot_ms.mean == pytest.approx(round_ms)
    cycle_ms, busy_ms = 40.0 + 100 * round_ms, step_ms + 100 * (4 * step_ms + ahead_ms)
    assert box.busy == pytest.approx(busy_ms / cycle_ms)
    assert box.wasted == pytest.approx(100 * ahead_ms / busy_ms)
    assert box.power_w == pytest.approx((busy_ms * 30 + (cycle_ms - busy_ms) * 10) / cycle_ms)


def test_a_token_trace_tells_which_guesses_are_right() -> None:
    """γ = 2 on 11 11 10 …: after 1,1 the third bit is the guess. Rounds: 2 (right), 2 (wrong), 2 (right), …"""
    deployed = lone(token_trace([[1, 1, 1, 1, 1, 0]]), output=31, window=2)
    run = kernel_run(deployed, most=1)
    gaps = run.tables["groups"]["gap_ms"][1:11]
    verified = 20.0 + 20.6
    assert run.tables["groups"]["tokens"][1:11].tolist() == [3] * 10
    assert gaps.tolist() == pytest.approx([10 + verified, verified] * 5)


def test_the_mean_round_of_a_lone_session() -> None:
    """(1 − h)(γ·t_d + N + t_v) + h·max((γ + 1)·t_d, N + t_v), h = s_{γ+1} = .8⁴."""
    hit, slow, fast = 0.8**4, 45.0 + 40.8, max(4 * 15.0, 40.8)
    run = kernel_run(lone(AcceptanceLaw(per_token=0.8), 15.0, output=20_000, window=3), most=4)
    sessions = run.tables["sessions"]
    rounds = sessions["rounds"].sum()
    mean_ms = (sessions["last_ms"] - sessions["first_ms"]).sum() / rounds
    spread_ms = (slow - fast) * (hit * (1 - hit) / rounds) ** 0.5
    assert mean_ms == pytest.approx((1 - hit) * slow + hit * fast, abs=4 * spread_ms)


def test_a_dropped_guess_lets_others_draft() -> None:
    """Two sessions share a device, each guess is wrong: neither waits behind a guess that is known to be wrong."""
    law, link = StepLaw(step_ms=10.0), Link(between=("edge", "region"), rtt_ms=0.0)
    both = recorded([0.0, 0.0], [10, 10], [3, 3])
    deployed = system(both, mode="pipelined", window=1, target=law, draft=law, acceptance=NONE, link=link, cap=1)
    run = kernel_run(deployed, most=2)
    # Device: prefills 0–10–20, windows a 20–30 and b 30–40. The guess of a waits from 30, is dropped at 40; the guess
    # of b runs 40–50 and is stopped there; a's next window 50–60, b's 60–70, and b's last guess for nothing 70–80.
    groups = run.tables["groups"][:6]
    assert groups[groups["session"] == 0]["arrival_ms"].tolist() == [10.0, 40.0, 70.0]
    assert groups[groups["session"] == 1]["arrival_ms"].tolist() == [20.0, 50.0, 80.0]
    assert run.tables["devices"]["busy_ms"].tolist() == [20.0 + 4 * 10.0 + 20.0]
    assert run.tables["work"]["wasted_ms"].tolist() == [20.0]


def test_several_paths_are_drafted_and_verified_together() -> None:
    """γ = 2, k = 3: 2 steps at batch 3 (2·(5 + 3)), 7 new tokens (20 + 7), and 3·2 ids up; all accepted: 3 a round."""
    deployed = system(
        closed(1, 0.0, 100, 31),
        window=2,
        candidates=3,
        target=StepLaw(step_ms=20.0, per_token_ms=1.0),
        draft=StepLaw(step_ms=5.0, per_token_ms=1.0),
        acceptance=ALL,
    )
    chat = replay(deployed, requests=20, replications=1).workload("chat")
    assert chat.itl_ms.mean == pytest.approx(16.0 + 20.0 + 27.0)
    assert chat.bytes_per_token == pytest.approx((400 + 4 + 10 * (24 + 8)) / 31)
    assert chat.acceptance_rate == 1.0


@pytest.mark.parametrize(("devices", "rows"), [(1, 4), (2, 2), (3, 2), (4, 1)])
def test_paths_are_dealt_to_the_devices_of_a_session(devices: int, rows: int) -> None:
    """k = 4 on m devices: ⌈4/m⌉ rows at most, 2 steps of (4 + rows) ms, and the last one sends."""
    deployed = system(
        closed(1, 0.0, 100, 31),
        window=2,
        candidates=4,
        devices=4,
        devices_per_session=devices,
        target=StepLaw(step_ms=20.0),
        draft=StepLaw(step_ms=4.0, per_token_ms=1.0),
        acceptance=ALL,
    )
    run = kernel_run(deployed, most=3)
    assert run.tables["groups"]["gap_ms"][1:11].tolist() == pytest.approx([2 * (4.0 + rows) + 40.0] * 10)
    assert np.count_nonzero(run.tables["devices"]["busy_ms"]) >= devices
    assert run.tables["devices"]["live"].tolist() == [0] * 4


def test_paths_of_a_law_are_taken_as_independent() -> None:
    """1 − (1 − .5)² = .75 at each position."""
    deployed = system(closed(1, 0.0, 100, 50_001), window=1, candidates=2, acceptance=AcceptanceLaw(per_token=0.5))
    session = kernel_run(deployed, most=1).tables["sessions"][0]
    assert session["accepted"] / session["proposed"] == pytest.approx(0.75, abs=0.01)


def test_a_device_takes_several_jobs_at_once() -> None:
    """Two sessions at once, γ = 3, cap 2: prefills 5 + 2·1 together, then windows 3·(5 + 2·.5) together."""
    both = recorded([0.0, 0.0], [10, 10], [9, 9])
    deployed = system(
        both,
        window=3,
        draft_cap=2,
        target=StepLaw(step_ms=20.0),
        draft=StepLaw(step_ms=5.0, per_token_ms=0.5, per_prompt_token_ms=0.1),
        acceptance=ALL,
    )
    run = kernel_run(deployed, most=2)
    assert run.tables["groups"]["gap_ms"][2:6].tolist() == pytest.approx([18.0 + 40.0] * 4)
    assert run.tables["devices"]["busy_ms"].tolist() == pytest.approx([7.0 + 2 * 18.0])
    assert run.tables["devices"]["batches"].tolist() == [3]
    assert run.tables["work"]["draft_batches"].tolist() == pytest.approx([3.0])


def test_a_batch_lasts_as_long_as_its_largest_window() -> None:
    """γ = 2 beside γ = 4: both are sent after 4 steps."""
    deployed = system(
        {"short": recorded([0.0], [10], [4]), "long": recorded([0.0], [10], [6])},
        window={"short": 2, "long": 4},
        draft_cap=8,
        target=StepLaw(step_ms=20.0),
        draft=StepLaw(step_ms=5.0),
        acceptance=ALL,
    )
    run = kernel_run(deployed, most=2)
    assert run.tables["groups"]["gap_ms"][2:4].tolist() == [60.0, 60.0]


def test_a_window_is_not_drafted_beside_its_own_prefill() -> None:
    """The first token is there at 40, the device free at 50: a prefill begins alone, its session's window after it."""
    deployed = system(
        {"a": recorded([0.0], [10], [4]), "b": recorded([0.005], [10], [4])},
        window=2,
        draft_cap=8,
        target=StepLaw(step_ms=20.0),
        draft=StepLaw(step_ms=5.0, per_prompt_token_ms=9.5),
        acceptance=ALL,
    )
    run = kernel_run(deployed, most=2)
    # a: prefill 0–100, b's behind it 100–200; a's first token at 40, its window 10 ms in a batch with b's prefill:
    # 10 + 95 = 105, until 205. b's window follows, 205–215; verified 215 + 10 … 245, 255.
    arrivals = run.tables["groups"]["arrival_ms"][:4]
    assert sorted(arrivals.tolist()) == pytest.approx([40.0, 60.0, 245.0, 265.0])


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"mode": "pipelined", "window": 6, "acceptance": AcceptanceLaw(survival=(0.9,) * 6)}, "position 7"),
        ({"mode": "pipelined", "window": 6, "acceptance": round_trace([6, 6], [6, 2])}, "position 7"),
        ({"candidates": 2, "acceptance": token_trace([[1, 0, 1, 1, 1, 1, 1]])}, "--candidates 2"),
        ({"candidates": 2, "acceptance": round_trace([4, 4], [4, 2])}, "--candidates 2"),
        ({"candidates": 3, "devices_per_session": 3, "devices": 2}, "only 2"),
    ],
)
def test_what_the_evidence_or_the_fleet_cannot_give_is_refused(wanted: dict[str, object], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        system(poisson(1.0), **wanted)


def test_offered_work_of_draft_devices() -> None:
    """Half of the rounds' successors rightly ahead: K·(γ + h)·t_d; batches of 4 share a step of 5 + 4·.5."""
    every = system(poisson(1.0, 10, 11), mode="pipelined", window=4, acceptance=ALL)
    assert draft_saturation(every, 0, [1.0]) == pytest.approx((2 * (4 + 1) * 5.0 + 5.0) / 1000)
    batched = system(
        poisson(1.0, 10, 11), window=4, draft_cap=4, draft=StepLaw(step_ms=5.0, per_token_ms=0.5), acceptance=ALL
    )
    assert draft_saturation(batched, 0, [1.0]) == pytest.approx((2 * 4 * 7.0 / 4 + 5.0 / 4) / 1000)
    full = system(poisson(30.0, 10, 11), mode="pipelined", window=4, acceptance=ALL)
    assert not replay(full, requests=50, replications=1).steady


@pytest.mark.parametrize("mode", ["pipelined", "distributed"])
def test_the_tables_of_draft_jobs_grow(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More jobs, and more ends of batches that were stopped, than there is room for at first."""
    monkeypatch.setattr(import_module("dsd_plan.replay.engine"), "FIRST_JOBS", 1)
    deployed = system(
        {"a": closed(40, 0.0, 50, 20), "b": poisson(10.0, 50, 1)},
        mode=mode,  # type: ignore[arg-type]
        window=3,
        draft=StepLaw(step_ms=9.0, per_kv_token_us=3.0, per_prompt_token_ms=0.3),
        link=Link(between=("edge", "region"), rtt_ms=3.0, jitter_cv=0.5),
        devices=20,
        draft_cap=2,
        acceptance=AcceptanceLaw(per_token=0.4),
    )
    run = Run(tables_of(deployed), keys_of(deployed, 5, 2), users_of(deployed), 300)
    rows = run.tables["draft_jobs"].size
    assert_identical(deployed, most=300)
    run.advance()
    assert run.tables["draft_jobs"].size > rows
