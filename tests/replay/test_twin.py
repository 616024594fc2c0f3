"""The kernel against the readable twin: every arrival, round, verdict and busy millisecond, bit for bit."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import Acceptance, AcceptanceLaw
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import FaultWindow, Link, RttTrace
from dsd_plan.domain.plan import Policy
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.workload import Requests
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import AT_MARK
from dsd_plan.replay.load import lanes_of
from tests.replay.builder import closed, points, poisson, recorded, round_trace, system, tiring, token_trace
from tests.replay.runs import kernel_run
from tests.replay.twin import Twin
from tests.replay.twin.parts import Lane

SESSIONS = 60


def assert_identical(deployed: Deployed, seed: int = 5, replication: int = 2, most: int = SESSIONS) -> Twin:
    run = kernel_run(deployed, seed, replication, most)
    twin = Twin(deployed, seed, replication, users_of(deployed)["first_ms"].tolist(), most).run()
    started = int(run.worlds["started"][0])
    assert started == len(twin.sessions) > 0
    kernel, groups = run.tables["sessions"][:started], run.tables["groups"][: int(run.worlds["logged"][0])]
    replicas = [replica for pool in twin.replicas for replica in pool]
    assert kernel["started_ms"].tolist() == [s.started_ms for s in twin.sessions]
    assert kernel["replica"].tolist() == [replicas.index(s.replica) for s in twin.sessions]
    for column in ("rounds", "accepted", "emitted", "key"):
        assert kernel[column].tolist() == [getattr(s, column) for s in twin.sessions], column
    assert (kernel["fate"] & 255).tolist() == [s.fate for s in twin.sessions]
    assert (kernel["fate"] >> 8).tolist() == [s.alone for s in twin.sessions]
    assert kernel["done"].all()
    for nothing_left in ("live", "queued", "kv_tokens", "stepping"):
        assert not run.tables["replicas"][nothing_left].any(), nothing_left
    assert [sum(session.tokens) for session in twin.sessions] == kernel["output"].tolist()
    for session in twin.sessions:
        mine = groups[groups["session"] == session.number]
        assert mine["arrival_ms"].tolist() == session.arrivals_ms
        assert mine["tokens"].tolist() == session.tokens
    table = run.tables["replicas"]
    assert table["iterations"].tolist() == [len(r.iterations) for r in replicas]
    assert table["jobs"].tolist() == [sum(jobs for *_, jobs in r.iterations) for r in replicas]
    for at, part in (("draft_ms", 1), ("step_ms", 2)):
        sums = [0.0] * len(replicas)
        for i, replica in enumerate(replicas):
            for iteration in replica.iterations:
                sums[i] += iteration[part]
        assert table[at].tolist() == sums
    devices = [device for pool in twin.drafts for device in pool]
    assert run.tables["devices"]["busy_ms"].tolist() == [device.busy_ms for device in devices]
    lanes = [
        twin.lanes.get((link, outward, copy), Lane())
        for (link, outward), (_, copies) in lanes_of(deployed).items()
        for copy in range(copies)
    ]
    assert run.tables["lanes"]["busy_ms"].tolist() == [lane.busy_ms for lane in lanes]
    assert run.tables["lanes"]["bytes"].tolist() == [lane.bytes for lane in lanes]
    wasted = [twin.drafting.wasted_ms.get(stream, 0.0) for stream in deployed.streams]
    assert kernel["proposed"].sum() >= kernel["accepted"].sum()
    assert run.tables["work"]["wasted_ms"].tolist() == wasted
    assert run.tables["devices"]["queued"].sum() == 0
    return twin


LAWS = {
    "affine": StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02, per_kv_token_us=0.5),
    "grid": points(
        StepLaw(step_ms=11.0, per_token_ms=0.3, per_prompt_token_ms=0.05, per_kv_token_us=2.0),
        (1, 2, 8),
        (1, 3, 5),
        (64, 256),
    ),
    "bent": StepLaw(
        step_ms=20.0,
        per_prompt_token_ms=0.02,
        per_kv_token_us=0.5,
        per_prompt_token_sq_us=0.3,
        knots=((1.0, 19.0), (4.0, 22.0), (12.0, 22.5), (40.0, 31.0)),
        load_scale=1.07,
        mixed_kv_token_us=1.5,
    ),
}
TIRING = (
    lambda law: law,
    lambda law: law,
    lambda law: tiring(law, (0.0, 1.0), (0.4, 0.8), (1.5, 0.3)),
    lambda law: tiring(law, (0.1, 0.9), (0.3, 0.95), (0.7, 0.5)),
)
TRACE = token_trace([[1, 1, 0, 1, 0, 1, 1, 1], [0, 0, 1], [1] * 9])
ACCEPTANCES: dict[str, Acceptance] = {
    "law": AcceptanceLaw(per_token=0.7),
    "survival": AcceptanceLaw(survival=(0.8, 0.7, 0.3, 0.2, 0.2, 0.1)),
    "tokens": TRACE,
    "rounds": round_trace([6, 6, 4, 6], [6, 0, 4, 2]),
    "several requests": round_trace([3, 3, 5, 6, 6, 2, 2, 2], [3, 1, 5, 6, 0, 2, 0, 1], [0, 0, 0, 1, 1, 2, 2, 2]),
    "rates": BetaLaw(a=3.0, b=1.5, largest_window=6, measured_window=6),
    "states": MarkovLaw(
        states=((0.9, 0.8, 0.75, 0.7, 0.6, 0.5), (0.3, 0.1, 0.0, 0.0, 0.0, 0.0)),
        transition=((0.8, 0.2), (0.4, 0.6)),
        start=(0.5, 0.5),
        largest_window=6,
        measured_window=6,
    ),
}


FUSED = StepLaw(step_ms=1.0, per_token_ms=0.01, per_prompt_token_ms=0.01)
RTT_TRACES = (
    RttTrace(at_s=(0.0,), rtt_ms=(12.0,)),
    RttTrace(at_s=(0.0, 0.1, 0.25, 1.0), rtt_ms=(10.0, 80.0, 0.0, 25.0)),
)


@st.composite
def links(draw: st.DrawFn, start: str, end: str) -> Link:
    trace = draw(st.sampled_from([None, None, *RTT_TRACES]))
    return Link(
        between=(start, end),
        up_ms=draw(st.sampled_from([0.0, 10.0])) if trace is None else None,
        down_ms=draw(st.sampled_from([0.0, 15.0])) if trace is None else None,
        jitter_cv=draw(st.sampled_from([0.0, 0.3, 1.0])) if trace is None else 0.0,
        trace=trace,
        loss=draw(st.sampled_from([0.0, 0.3])),
        uplink_mbps=draw(st.sampled_from([None, 0.5])),
        downlink_mbps=draw(st.sampled_from([None, 0.01])),
    )


ROUTINGS = ("jsq", "round_robin", "random", "power_of_two", "least_expected_delay", "weighted")
POLICIES = (
    Policy(),
    Policy(kind="threshold", largest=5),
    Policy(kind="threshold", largest=5, grow_above=0.6, shrink_below=0.55, smoothing=1.0),
)


@st.composite
def faults(draw: st.DrawFn, joined: list[tuple[str, str]]) -> FaultWindow:
    """Short enough, and soon enough, that sessions meet them."""
    kind = draw(st.sampled_from(["link_down", "device_down", "slow_link", "slow_device"]))
    at_s = draw(st.sampled_from([0.0, 0.05, 0.3, 0.7, 2.0]))
    for_s = draw(st.sampled_from([0.02, 0.2, 1.0]))
    factor = draw(st.sampled_from([0.5, 3.0])) if kind.startswith("slow") else None
    if "link" in kind:
        hold_s = draw(st.sampled_from([None, 0.0, 0.1])) if kind == "link_down" else None
        between = draw(st.sampled_from(joined))
        return FaultWindow(kind=kind, at_s=at_s, for_s=for_s, factor=factor, between=between, hold_s=hold_s)
    device, index = draw(st.sampled_from(["box", "gpu"])), draw(st.sampled_from([None, 0, 1]))
    return FaultWindow(kind=kind, at_s=at_s, for_s=for_s, factor=factor, device=device, index=index)


@st.composite
def systems(draw: st.DrawFn, faulty: bool = False) -> Deployed:
    def requests() -> Requests:
        prompt, output = draw(st.integers(1, 300) | st.integers(1, 20)), draw(st.integers(1, 30))
        kind = draw(st.sampled_from(["poisson", "closed", "trace"] if copies == 1 else ["poisson", "closed"]))
        if kind == "poisson":
            return poisson(draw(st.sampled_from([0.5, 5.0, 40.0])), prompt, output)
        if kind == "closed":
            return closed(draw(st.integers(1, 9)), draw(st.sampled_from([0.0, 0.3])), prompt, output)
        n = draw(st.integers(2, 12))
        gaps = draw(st.lists(st.sampled_from([0.0, 0.01, 0.2]), min_size=n, max_size=n))
        outputs = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
        cached = draw(st.sampled_from([None, [prompt // 2] * n, [i % prompt for i in range(n)]]))
        return recorded(100.0 + np.cumsum(gaps), [prompt] * n, outputs, cached)

    tire = draw(st.sampled_from(TIRING))
    copies = draw(st.sampled_from([1, 1, 2, 3]))
    hubbed = draw(st.booleans())
    joined = [("edge", "hub"), ("hub", "region")] if hubbed else [("edge", "region")]
    bypassed = faulty and hubbed and draw(st.booleans())
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    modes = {name: draw(st.sampled_from(["target_only", "fused", "distributed", "pipelined"])) for name in names}
    limited = draw(st.booleans())
    devices = draw(st.integers(1, 3))
    acceptance = draw(st.sampled_from(list(ACCEPTANCES.values())))
    several = isinstance(acceptance, AcceptanceLaw) and "pipelined" not in modes.values()
    candidates = draw(st.integers(1, 4)) if several else 1
    token_cap = draw(st.sampled_from([None, None, 21, 64, 250]))
    return system(
        {name: requests() for name in names},
        mode=modes,
        window={name: draw(st.integers(1, 5)) for name in names},
        target=tire(draw(st.sampled_from(list(LAWS.values())))),
        draft=tire(draw(st.sampled_from([StepLaw(step_ms=5.0, per_kv_token_us=3.0), LAWS["grid"], LAWS["bent"]]))),
        fused=tire(draw(st.sampled_from([FUSED, LAWS["grid"]]))),
        acceptance=acceptance,
        link=draw(links("edge", "hub" if hubbed else "region")),
        # Named from its far end: its `up` is the way down.
        further=draw(links("region", "hub")) if hubbed else None,
        copies=copies,
        more_links=[draw(links("edge", "region"))] if bypassed else [],
        faults=draw(st.lists(faults(joined), min_size=1, max_size=4)) if faulty else [],
        wire=draw(st.sampled_from(["ids", "ids_q", "topk", "distributions"])),
        priority={name: draw(st.sampled_from([0, 0, 1, -3])) for name in names},
        replicas=draw(st.integers(1, 3)),
        devices=devices,
        draft_cap=draw(st.sampled_from([None, None, 1, 2, 8])),
        candidates=candidates,
        policy=draw(st.sampled_from(POLICIES)),
        devices_per_session=draw(st.integers(1, min(devices, candidates))),
        cap=draw(st.sampled_from([1, 3, 64])),
        engine={"token_cap": token_cap},
        batching="fifo" if token_cap else draw(st.sampled_from(["fifo", "length_aware"])),
        memory_gib=700.0 / 1024 if limited else 64.0,
        kv_mib=1.0 if limited else None,
        routing=draw(st.sampled_from(ROUTINGS)),
        draft_routing=draw(st.sampled_from([None, *ROUTINGS])),
    )


@given(systems(), st.integers(0, 2**70), st.integers(0, 100))
@settings(max_examples=250)
def test_kernel_and_twin_agree_bit_for_bit(deployed: Deployed, seed: int, replication: int) -> None:
    assert_identical(deployed, seed, replication)


@given(systems(faulty=True), st.integers(0, 2**70))
@settings(max_examples=250)
def test_they_agree_under_faults(deployed: Deployed, seed: int) -> None:
    assert_identical(deployed, seed)


def test_the_scenarios_reach_what_they_are_meant_to() -> None:
    """Batches of several modes at once, waits for memory, losses: not only the easy paths."""
    deployed = system(
        {"a": closed(6, 0.1, 200, 20), "b": poisson(20.0, 100, 15), "c": poisson(10.0, 50, 10)},
        mode={"a": "fused", "b": "distributed", "c": "target_only"},
        memory_gib=700.0 / 1024,
        kv_mib=1.0,
        link=Link(between=("edge", "region"), rtt_ms=20.0, jitter_cv=0.3, loss=0.2),
        replicas=2,
        devices=2,
        cap=4,
        acceptance=TRACE,
    )
    assert_identical(deployed, most=150)
    run = kernel_run(deployed, 5, 2, 150)
    assert (run.tables["replicas"]["memory_waits"] > 0).all()
    assert (run.tables["replicas"]["draft_ms"] > 0).all()


@pytest.mark.parametrize("devices", [1, 40, 80])
def test_rounds_that_were_foreseen_can_be_shared(devices: int) -> None:
    """Sessions that come to a draft device between a verdict's departure and its arrival, or after it."""
    deployed = system(
        {"a": poisson(20.0, 100, 30), "b": closed(5, 0.2, 50, 40)},
        window={"a": 4, "b": 3},
        draft=LAWS["bent"],
        link=Link(between=("edge", "region"), rtt_ms=80.0, jitter_cv=0.8),
        replicas=2,
        devices=devices,
        cap=4,
    )
    assert_identical(deployed, most=400)


def test_marks_see_only_what_has_come_to_pass_of_foreseen_rounds() -> None:
    """A device has worked, up to any mark, what it has of its jobs by then."""
    deployed = system(
        {"a": poisson(3.0, 100, 30), "b": poisson(9.0, 10, 2)},
        mode={"a": "distributed", "b": "target_only"},
        link=Link(between=("edge", "region"), rtt_ms=400.0, jitter_cv=0.1),
        devices=40,
    )
    run = Run(tables_of(deployed), keys_of(deployed, 1, 0), users_of(deployed), 60)
    twin = Twin(deployed, 1, 0, [], 60).run()
    for started in range(5, 60, 5):
        run.mark_at(inf, started)
        assert run.advance() == AT_MARK
        mark = run.mark()
        worked = [
            sum(max(min(end, mark.at_ms) - begin, 0.0) for begin, end in device.jobs) for device in twin.drafts[0]
        ]
        assert mark.device_ms.tolist() == pytest.approx(worked, abs=1e-6)


@pytest.mark.parametrize("most", [1, 7, 200])
def test_the_log_of_tokens_grows(most: int) -> None:
    """More token groups than the first log holds: the kernel stops, the log is doubled, nothing is lost."""
    deployed = system(poisson(3.0, 10, 900), mode="target_only", cap=8)
    run = kernel_run(deployed, 0, 0, most)
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    assert groups["tokens"].sum() == most * 900
    assert (np.bincount(groups["session"], minlength=most) == 900).all()
