"""What holds in every replay, whatever the plan. Numbers: docs/invariants.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.engine import Run, horizon_of, users_of
from dsd_plan.replay.layout import NONE
from dsd_plan.replay.load import unloaded_ms
from tests.replay.builder import closed, poisson, recorded, system
from tests.replay.runs import kernel_run, record
from tests.replay.twin import Twin


def mixed(seed: int = 0, *, cap: int = 6, jitter_cv: float = 0.3) -> Deployed:
    """All modes on two replicas, with a memory limit."""
    return system(
        {"a": poisson(9.0, 200, 30), "b": poisson(4.0, 100, 20), "c": closed(5, 0.2, 50, 25)},
        mode={"a": "distributed", "b": "target_only", "c": "fused"},
        link=Link(between=("edge", "region"), rtt_ms=30.0, jitter_cv=jitter_cv, loss=0.05),
        replicas=2,
        devices=3,
        cap=cap,
        memory_gib=1500.0 / 1024,
        kv_mib=1.0,
    )


def tables(run: Run) -> tuple[np.ndarray, np.ndarray]:
    started, logged = int(run.worlds["started"][0]), int(run.worlds["logged"][0])
    return run.tables["sessions"][:started], run.tables["groups"][:logged]


@given(st.integers(0, 10**6), st.sampled_from([1, 4, 64]), st.sampled_from([0.0, 0.4]))
@settings(max_examples=25)
def test_tokens_jobs_and_memory_are_conserved(seed: int, cap: int, jitter_cv: float) -> None:
    """Invariants 1, 2 and 3."""
    run = kernel_run(mixed(cap=cap, jitter_cv=jitter_cv), seed, most=120)
    sessions, groups = tables(run)
    assert (sessions["done"] == 1).all()
    assert (sessions["emitted"] == sessions["output"]).all()
    assert np.bincount(groups["session"], groups["tokens"]).tolist() == sessions["output"].tolist()
    assert (np.bincount(groups["session"]) == sessions["rounds"] + 1).all()
    speculates = sessions["window"] > 0
    assert (sessions["accepted"] <= sessions["proposed"]).all()
    assert (sessions["proposed"] == sessions["rounds"] * sessions["window"]).all()
    # X + 1 tokens a round, less what the last round had too many.
    surplus = (sessions["accepted"] + sessions["rounds"] + 1 - sessions["output"])[speculates]
    assert ((surplus >= 0) & (surplus <= sessions["window"][speculates])).all()
    replicas, work = run.tables["replicas"], run.tables["work"]
    assert replicas["jobs"].sum() == (sessions["rounds"] + 1).sum() == work["jobs"].sum()
    assert (replicas["jobs"] <= cap * replicas["iterations"]).all()
    assert (replicas["live"] == 0).all()
    assert (replicas["kv_tokens"] == 0).all()
    assert (replicas["queued"] == 0).all()
    assert (replicas["memory_head"] == NONE).all()
    assert (run.tables["devices"]["live"] == 0).all()
    assert work["prompt_tokens"].sum() == sessions["prompt"].sum()
    assert run.tables["devices"]["busy_ms"].sum() == pytest.approx(work["draft_ms"].sum())


def test_causality_and_the_clock() -> None:
    """Invariants 4 and 5: nothing arrives before it could have, streams are in order, time never goes back."""
    deployed = system(
        poisson(6.0, 100, 30),
        link=Link(between=("edge", "region"), up_ms=12.0, down_ms=7.0, jitter_cv=0.5),
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02),
        devices=2,
    )
    sessions, groups = tables(kernel_run(deployed, 3, most=300))
    assert (np.diff(sessions["started_ms"]) >= 0).all()
    # Jitter of cv .5 takes at most half of a mean delay away.
    assert (sessions["first_ms"] - sessions["started_ms"] >= 6.0 + 22.0 + 3.5 - 1e-9).all()
    later = groups[~np.isnan(groups["gap_ms"])]
    assert (later["gap_ms"] >= 4 * 5.0 + 6.0 + 21.0 + 3.5 - 1e-9).all()
    assert (sessions["last_ms"] >= sessions["first_ms"]).all()

    streamed = system(
        poisson(6.0, 100, 30), mode="target_only", link=Link(between=("edge", "region"), rtt_ms=80.0, jitter_cv=1.0)
    )
    _, groups = tables(kernel_run(streamed, 3, most=300))
    gaps = groups["gap_ms"][~np.isnan(groups["gap_ms"])]
    assert (gaps >= 0).all()
    assert (gaps == 0).any(), "tokens overtaken on the way arrive together with the one in front"

    at_target = system(poisson(6.0, 100, 30), link=Link(between=("edge", "region"), up_ms=9.0, down_ms=0.0))
    _, groups = tables(kernel_run(at_target, 3, most=300))
    assert (np.diff(groups["arrival_ms"]) >= 0).all()


def test_simultaneous_prompts_share_an_iteration() -> None:
    """Invariant 6: all events of an instant come first, then idle replicas start, so three prompts are one batch."""
    run = kernel_run(system(recorded([0.0] * 3, [10] * 3, [1] * 3), mode="target_only"), most=3)
    (replica,) = run.tables["replicas"]
    assert (replica["iterations"], replica["jobs"]) == (1, 3)


def test_jobs_of_one_instant_keep_their_order() -> None:
    """Invariant 7: with room for one job a time, simultaneous requests are served in the order they came."""
    run = kernel_run(system(recorded([0.0] * 4, [10] * 4, [3] * 4), mode="target_only", cap=1), most=4)
    _, groups = tables(run)
    assert groups["session"].tolist() == [0, 1, 2, 3] * 3


def test_idle_replicas_start_in_the_order_of_their_index() -> None:
    """Invariant 7: it decides who emits first where two iterations end at one instant."""
    deployed = system(recorded([0.0, 0.0], [10, 10], [1, 1]), mode="target_only", replicas=2, routing="random")
    swapped = 0
    for seed in range(12):
        sessions, groups = tables(kernel_run(deployed, seed, most=2))
        assert groups["session"].tolist() == np.argsort(sessions["replica"], kind="stable").tolist()
        swapped += sessions["replica"].tolist() == [1, 0]
    assert swapped > 0, "no seed sends the first prompt to the second replica"


def test_littles_law() -> None:
    """Invariant 8: mean live sessions = rate × mean E2E; of closed users, N = X·(E2E + think)."""
    deployed = system(poisson(8.0, 100, 40), devices=4, acceptance=AcceptanceLaw(per_token=0.8))
    recording = record(deployed, 1, 0, 6000)
    start_ms, end_ms = recording.opened.at_ms, recording.closed.at_ms
    sessions = recording.sessions
    last_ms = np.where(sessions["done"] == 1, sessions["last_ms"], np.inf)
    overlap = np.minimum(last_ms, end_ms) - np.maximum(sessions["started_ms"], start_ms)
    live = np.maximum(overlap, 0.0).sum() / (end_ms - start_ms)
    measured = sessions[recording.opened.started : recording.closed.started]
    rate = measured.size / (end_ms - start_ms)
    assert live == pytest.approx(rate * (measured["last_ms"] - measured["started_ms"]).mean(), rel=0.01)

    deployed = system(closed(30, 0.5, 100, 40), devices=30)
    recording = record(deployed, 1, 0, 3000)
    sessions = recording.sessions[recording.opened.started : recording.closed.started]
    rate = sessions.size / (recording.closed.at_ms - recording.opened.at_ms)
    assert pytest.approx(rate * ((sessions["last_ms"] - sessions["started_ms"]).mean() + 500.0), rel=0.02) == 30


def test_a_longer_round_trip_is_never_faster_for_a_lone_user() -> None:
    """Invariant 9: plans share their luck, so request by request a longer way takes longer."""

    def lone(rtt_ms: float) -> np.ndarray:
        link = Link(between=("edge", "region"), rtt_ms=rtt_ms, jitter_cv=0.4, loss=0.02)
        sessions, _ = tables(kernel_run(system(closed(1, 0.1, 100, 40), link=link), 7, most=150))
        return sessions

    near, far = lone(10.0), lone(60.0)
    assert near["rounds"].tolist() == far["rounds"].tolist()
    assert (far["last_ms"] - far["first_ms"] > near["last_ms"] - near["first_ms"]).all()
    assert (far["first_ms"] - far["started_ms"] > near["first_ms"] - near["started_ms"]).all()


def test_plans_share_their_luck() -> None:
    """Invariant 9: the same requests at the same times, with the same acceptance, under another plan."""
    slow = system(poisson(3.0, 100, 40), devices=1, target=StepLaw(step_ms=40.0))
    fast = system(poisson(3.0, 100, 40), devices=9, replicas=2, target=StepLaw(step_ms=10.0))
    a, _ = tables(kernel_run(slow, 4, most=100))
    b, _ = tables(kernel_run(fast, 4, most=100))
    assert a["started_ms"].tolist() == b["started_ms"].tolist()
    assert a["rounds"].tolist() == b["rounds"].tolist()
    assert a["last_ms"].sum() > b["last_ms"].sum()


def test_memory_for_one_session_serves_one_at_a_time() -> None:
    """Invariant 3: KV is held from admission to the last token, also while the edge drafts."""
    deployed = system(
        recorded([0.0, 0.001, 0.002], [100] * 3, [20] * 3), memory_gib=150.0 / 1024, kv_mib=1.0, devices=3
    )
    run = kernel_run(deployed, most=3)
    _, groups = tables(run)
    assert groups["session"].tolist() == sorted(groups["session"].tolist())
    assert run.tables["replicas"]["memory_waits"].tolist() == [2]


def test_lost_messages_cost_what_the_mean_says() -> None:
    """Two lossy hops' worth of jitter and loss add up to `network.mean_delay_ms`, seen in an idle system's TTFT."""
    link = Link(between=("edge", "region"), rtt_ms=30.0, jitter_cv=0.5, loss=0.2, uplink_mbps=1.0, downlink_mbps=2.0)
    deployed = system(poisson(0.5, 500, 1), mode="target_only", link=link, target=StepLaw(step_ms=5.0))
    sessions, _ = tables(kernel_run(deployed, 2, most=20000))
    (stream,) = deployed.streams
    delay_ms = mean_delay_ms(stream.up, 2000.0) + mean_delay_ms(stream.down, 4.0)
    ttft_ms = sessions["first_ms"] - sessions["started_ms"]
    error = ttft_ms.std() / np.sqrt(ttft_ms.size)
    # Two requests in 5 ms are rare, and cost the second a part of 5 ms.
    assert ttft_ms.mean() == pytest.approx(5.0 + delay_ms, abs=4 * error + 0.05)


@pytest.mark.parametrize("mode", ["distributed", "fused", "pipelined"])
def test_marks_count_work_in_progress_for_the_part_that_is_done(mode: str) -> None:
    """Busy time between the marks is the twin's iterations and jobs clipped to them."""
    deployed = system(poisson(12.0, 100, 30), mode=mode, replicas=2, devices=2, cap=4)  # type: ignore[arg-type]
    recording = record(deployed, 6, 1, 80)
    start_ms, end_ms = recording.opened.at_ms, recording.closed.at_ms
    twin = Twin(deployed, 6, 1, [], 400).run()

    def clip(spans: list[tuple[float, float]]) -> float:
        return sum(max(min(end, end_ms) - max(begin, start_ms), 0.0) for begin, end in spans)

    assert (start_ms, end_ms) == (twin.sessions[16].started_ms, twin.sessions[80].started_ms)
    for i, replica in enumerate(twin.replicas[0]):
        drafted = [(begins, begins + draft) for begins, draft, _, _ in replica.iterations]
        stepped = [(begins + draft, begins + draft + step) for begins, draft, step, _ in replica.iterations]
        assert recording.closed.step_ms[i] - recording.opened.step_ms[i] == pytest.approx(clip(stepped))
        assert recording.closed.draft_ms[i] - recording.opened.draft_ms[i] == pytest.approx(clip(drafted))
    for i, device in enumerate(device for pool in twin.drafts for device in pool):
        assert recording.closed.device_ms[i] - recording.opened.device_ms[i] == pytest.approx(clip(device.jobs))


def test_measured_requests_finish_while_others_still_arrive() -> None:
    """Invariant 10: what is measured is not relieved by the end of the run."""
    deployed = system(poisson(12.0, 100, 60), devices=8, replicas=2)
    recording = record(deployed, 0, 0, 500)
    measured = recording.sessions[recording.opened.started : recording.closed.started]
    assert (recording.opened.started, recording.closed.started, measured.size) == (100, 500, 400)
    assert (measured["done"] == 1).all()
    assert recording.sessions["started_ms"][-1] > np.quantile(measured["last_ms"], 0.99)
    assert recording.refused == 0


def test_routing_keeps_a_session_on_its_replica_and_balances() -> None:
    """JSQ: fewest live sessions, lowest index on ties. Round robin: in turn."""
    burst = recorded([0.0, 0.0, 0.0, 0.0, 0.0], [10] * 5, [5] * 5)
    for routing, expected in (("jsq", [0, 1, 2, 0, 1]), ("round_robin", [0, 1, 2, 0, 1])):
        run = kernel_run(system(burst, mode="target_only", replicas=3, routing=routing), most=5)  # type: ignore[arg-type]
        assert run.tables["sessions"]["replica"].tolist() == expected
    # Once two of the sessions have ended, JSQ fills the gaps while round robin goes on in turn.
    spaced = recorded([0.0, 0.0, 0.0, 5.0, 5.0], [10] * 5, [2000, 5, 5, 5, 5])
    for routing, expected in (("jsq", [0, 1, 2, 1, 2]), ("round_robin", [0, 1, 2, 0, 1])):
        run = kernel_run(system(spaced, mode="target_only", replicas=3, routing=routing), most=5)  # type: ignore[arg-type]
        assert run.tables["sessions"]["replica"].tolist() == expected
    drawn = kernel_run(system(poisson(1.0), mode="target_only", replicas=3, routing="random"), most=3000)
    counts = np.bincount(drawn.tables["sessions"]["replica"])
    assert counts == pytest.approx([1000] * 3, abs=4 * np.sqrt(3000 * 2 / 9))


def test_closed_users_start_staggered_over_one_cycle() -> None:
    """Think 1 s + 10 + 22 + 10 ms of an unloaded request of one token: a quarter of it apart."""
    deployed = system(closed(4, 1.0, 100, 1), mode="target_only")
    assert users_of(deployed)["first_ms"] == pytest.approx([0.0, 260.5, 521.0, 781.5])


def test_horizon_waits_for_every_closed_user_to_have_asked() -> None:
    assert horizon_of(system(poisson(1.0)), 1000).warm[0] == 200
    assert horizon_of(system(closed(150)), 1000).warm[0] == 300
    assert horizon_of(system(closed(900)), 1000).warm == (500,)
    trace = system(recorded([5.0, 6.0, 15.0], [1] * 3, [1] * 3), mode="target_only")
    horizon = horizon_of(trace, 1000)
    assert (horizon.warm_ms, horizon.end_ms) == (min(2000.0, 3.0 * unloaded_ms(trace, trace.streams[0])), 10000.0)
    assert 0.0 < horizon.warm_ms < 2000.0


def test_every_invariant_names_tests_that_exist() -> None:
    here = Path(__file__).parent
    text = (here.parents[1] / "docs" / "invariants.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    written = {name for file in here.glob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named <= written
    rules = re.findall(r"^(\d+)\. \*\*.*?(?=^\d+\. |^Known)", text, flags=re.MULTILINE | re.DOTALL)
    assert [int(number) for number in rules] == list(range(1, 18))
    for rule in re.split(r"^\d+\. ", text.split("Known results")[0], flags=re.MULTILINE)[1:]:
        assert "`test_" in rule, rule
