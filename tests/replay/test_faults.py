"""Faults worked by hand: one session, steps of 10 ms, 5 ms of way; iterations end at 15, 25, 35, …"""

from __future__ import annotations

from typing import Any

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.fleet import FaultWindow, Link
from dsd_plan.domain.plan import Policy
from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.layout import ALONE, DETOURED, FATE_BITS, MOVED, REFILLED, STALLED
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, recorded, system, token_trace
from tests.replay.runs import kernel_run

LINK = Link(between=("edge", "region"), rtt_ms=10.0)
BY_THE_HUB = (Link(between=("edge", "hub"), rtt_ms=20.0), Link(between=("hub", "region"), rtt_ms=20.0))
CUT = FaultWindow(kind="link_down", between=("region", "edge"), at_s=0.02, for_s=0.08)
ALL_RIGHT = token_trace([[1] * 8])


def arrivals(*faults: FaultWindow, output: int = 4, prompts: int = 1, **changes: Any) -> tuple[list[Any], Any]:
    """(arrivals of the first session's tokens as (ms, tokens), its row)."""
    given = {"mode": "target_only", "target": StepLaw(step_ms=10.0), "link": LINK, "faults": faults} | changes
    run = kernel_run(system(recorded([0.0, 9.0], [100, 100], [output, 1]), **given), most=2)
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    mine = groups[groups["session"] == 0]
    return list(zip(mine["arrival_ms"].tolist(), mine["tokens"].tolist(), strict=True)), run.tables["sessions"][0]


def times(found: list[Any]) -> list[float]:
    return [at_ms for at_ms, _ in found]


def test_without_faults() -> None:
    found, session = arrivals()
    assert found == [(20.0, 1), (30.0, 1), (40.0, 1), (50.0, 1)]
    assert session["fate"] == 0


def test_a_slow_link_delays_what_sets_out_on_it() -> None:
    slow = FaultWindow(kind="slow_link", between=("edge", "region"), at_s=0.02, for_s=0.01, factor=3.0)
    assert times(arrivals(slow)[0]) == [20.0, 40.0, 40.0, 50.0]


def test_a_slow_device_takes_longer_for_what_it_begins() -> None:
    slow = FaultWindow(kind="slow_device", device="gpu", at_s=0.015, for_s=0.015, factor=2.0)
    assert times(arrivals(slow)[0]) == [20.0, 40.0, 50.0, 60.0]
    twice = FaultWindow(kind="slow_device", device="gpu", index=0, at_s=0.0, for_s=0.02, factor=1.5)
    assert times(arrivals(slow, twice)[0]) == [25.0, 45.0, 55.0, 65.0]  # 5–20, 20–40 and on


def test_a_stream_that_is_cut_off_stalls_and_goes_on() -> None:
    """The token of 25 waits until 100; the next iteration is 100–110."""
    found, session = arrivals(CUT)
    assert times(found) == [20.0, 105.0, 115.0, 125.0]
    assert session["fate"] == STALLED


def test_memory_is_held_for_so_long_and_made_again() -> None:
    """Let go at 50 ms: at 100 a prefill of prompt and answer so far comes first."""
    cut = FaultWindow(kind="link_down", between=("region", "edge"), at_s=0.02, for_s=0.08, hold_s=0.03)
    found, session = arrivals(cut)
    assert times(found) == [20.0, 105.0, 125.0, 135.0]
    assert session["fate"] == STALLED | REFILLED
    assert session["prefill"] == 102


def test_memory_that_was_let_go_serves_others() -> None:
    """Room for one session of 100 + 4: the second gets it when the first is cut off."""
    cut = FaultWindow(kind="link_down", between=("region", "edge"), at_s=0.012, for_s=0.088, hold_s=0.0)
    run = kernel_run(
        system(
            recorded([0.0, 0.0], [100, 100], [4, 1]),
            mode="target_only",
            target=StepLaw(step_ms=10.0),
            link=LINK,
            faults=(cut,),
            memory_gib=110.0 / 1024,
            kv_mib=1.0,
        ),
        most=2,
    )
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    # 5–15 the first prompt; cut off, its memory goes to the second: 15–25. Both tokens wait until 100.
    assert groups["arrival_ms"][groups["session"] == 1].tolist() == pytest.approx([105.0])
    assert groups["arrival_ms"][groups["session"] == 0].tolist() == pytest.approx([105.0, 125.0, 135.0, 145.0])


def test_a_session_goes_round_a_cut_without_its_draft_and_comes_back() -> None:
    """Windows of 4 take 20 ms; everything is accepted. The way round is 20 ms.

    The verdict of 55 goes round, to 75; word to go on alone is there at 95; tokens leave at 105 and 115 (round, 125
    and 135) and at 125, when the cut is over: at 130, but not before the one of 135. Draft to 155, 160, 170, 175.
    """
    cut = FaultWindow(kind="link_down", between=("edge", "region"), at_s=0.05, for_s=0.07)
    found, session = arrivals(
        cut,
        output=14,
        mode="distributed",
        acceptance=ALL_RIGHT,
        more_links=BY_THE_HUB,
    )
    assert found == [(20.0, 1), (75.0, 5), (125.0, 1), (135.0, 1), (135.0, 1), (175.0, 5)]
    assert session["fate"] == DETOURED | ALONE | 3 << FATE_BITS


def test_a_session_without_its_device_goes_on_alone_until_it_is_back() -> None:
    """Lost at 30 while it drafts; word is there at 35. Back at 100: told by the token of 105, the draft reads all again
    (5 ms) and drafts from 110 to 135; 140, 150, 155."""
    lost = FaultWindow(kind="device_down", device="box", index=0, at_s=0.03, for_s=0.07)
    found, session = arrivals(lost, output=13, mode="distributed", acceptance=ALL_RIGHT)
    assert found == [(20.0, 1), *((t, 1) for t in (50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0)), (155.0, 5)]
    assert session["fate"] == ALONE | 7 << FATE_BITS


def test_sessions_of_a_lost_replica_move() -> None:
    """The iteration of 15–25 is lost at 20; the other replica prefills 20–30 and goes on 30–40."""
    lost = FaultWindow(kind="device_down", device="gpu", index=0, at_s=0.02, for_s=1.0)
    found, session = arrivals(lost, replicas=2)
    assert times(found) == [20.0, 45.0, 55.0, 65.0]
    assert (session["fate"], session["replica"]) == (MOVED | REFILLED, 1)


def test_or_wait_for_it() -> None:
    lost = FaultWindow(kind="device_down", device="gpu", at_s=0.02, for_s=0.48)
    found, session = arrivals(lost)
    assert times(found) == [20.0, 525.0, 535.0, 545.0]
    assert session["fate"] == REFILLED


def test_new_sessions_pass_over_what_is_away() -> None:
    away = FaultWindow(kind="device_down", device="gpu", index=0, at_s=0.0, for_s=1.0)
    no_draft = FaultWindow(kind="device_down", device="box", index=0, at_s=0.0, for_s=1.0)
    found, session = arrivals(
        away, no_draft, replicas=2, devices=2, mode="distributed", acceptance=ALL_RIGHT, draft_routing="jsq"
    )
    assert found == [(20.0, 1), (60.0, 3)]
    assert (session["replica"], session["device"], session["fate"]) == (1, 1, 0)


def test_what_faults_did_is_told() -> None:
    cut = FaultWindow(kind="link_down", between=("edge", "region"), at_s=2.0, for_s=1.0)
    deployed = system(closed(4, 0.1), faults=(cut,), link=LINK)
    found = replay(deployed, requests=100, replications=2)
    assert found.steady
    assert any(note.startswith("faults: of all ") and "stalled" in note for note in found.notes)
    assert "predicted without the scenario's faults, which only a replay plays" in predict(deployed).notes


def test_a_pipelined_session_goes_round_a_cut_without_its_draft_and_comes_back() -> None:
    """As a distributed one; the guess of 40–65 is thrown away at 75 though it was right, that of 155–175 at the end."""
    cut = FaultWindow(kind="link_down", between=("edge", "region"), at_s=0.05, for_s=0.07)
    given = {"output": 14, "acceptance": ALL_RIGHT, "more_links": BY_THE_HUB}
    found, session = arrivals(cut, mode="pipelined", **given)
    assert found == [(20.0, 1), (75.0, 5), (125.0, 1), (135.0, 1), (135.0, 1), (175.0, 5)]
    assert session["fate"] == DETOURED | ALONE | 3 << FATE_BITS
    deployed = system(
        recorded([0.0, 9.0], [100, 100], [14, 1]),
        mode="pipelined",
        target=StepLaw(step_ms=10.0),
        link=LINK,
        faults=(cut,),
        acceptance=ALL_RIGHT,
        more_links=BY_THE_HUB,
    )
    assert kernel_run(deployed, most=2).tables["work"]["wasted_ms"][0] == 25.0 + 20.0
    assert arrivals(cut, mode="distributed", draft_cap=4, **given)[0] == found


def test_a_pipelined_window_waits_for_a_cut_link_and_the_guess_is_ready() -> None:
    """Drafted 20–40, out at 100, verified 105–115; the verdict of 120 finds the guess of 40–65, which goes at once."""
    found, session = arrivals(CUT, output=11, mode="pipelined", acceptance=ALL_RIGHT)
    assert found == [(20.0, 1), (120.0, 5), (140.0, 5)]
    assert session["fate"] == STALLED


def test_a_slow_device_takes_longer_for_batches_that_it_begins() -> None:
    slow = FaultWindow(kind="slow_device", device="box", at_s=0.02, for_s=0.01, factor=2.0)
    for cap in (1, 4):
        found, _ = arrivals(slow, output=6, mode="distributed", acceptance=ALL_RIGHT, draft_cap=cap)
        assert found == [(20.0, 1), (80.0, 5)]


def test_a_policy_learns_nothing_from_rounds_without_a_draft() -> None:
    """All right: windows of 1 at 20, 2 at 45, 3 at 75 ms, lost at 80; two tokens alone; 3 again at 110, not 4."""
    gone = FaultWindow(kind="device_down", device="box", at_s=0.08, for_s=0.02)
    policy = Policy(kind="threshold", largest=9)
    found, session = arrivals(gone, mode="distributed", window=1, policy=policy, acceptance=ALL_RIGHT, output=12)
    # The device prefills in 5 ms what it forgot, drafts three tokens in 15; 5 up, 10 there, 5 down.
    assert found == [(20.0, 1), (45.0, 2), (75.0, 3), (100.0, 1), (110.0, 1), (150.0, 4)]
    assert session["fate"] == ALONE + (2 << FATE_BITS)


def test_a_stalled_stream_keeps_its_window() -> None:
    """Fused, drafts of 1 ms: windows of 1, then 2, whose tokens wait until 100; then 3."""
    cut = FaultWindow(kind="link_down", between=("region", "edge"), at_s=0.035, for_s=0.065)
    given = {"mode": "fused", "window": 1, "policy": Policy(kind="threshold", largest=9), "acceptance": ALL_RIGHT}
    found, _ = arrivals(cut, output=10, fused=StepLaw(step_ms=1.0), **given)
    # 1 + 10 ms for the prompt, 11 for a window of 1, 12 for 2 (until 39); after the cut 13 for 3.
    assert found == [(21.0, 1), (32.0, 2), (105.0, 3), (118.0, 4)]


def test_devices_that_no_fault_names_share_their_spells() -> None:
    """A large fleet has few spells: one for all, and for device 3 that and its own."""
    times = {"kind": "slow_device", "device": "box", "for_s": 1.0, "factor": 2.0}
    faults = (FaultWindow(at_s=1.0, **times), FaultWindow(at_s=5.0, index=3, **times))  # type: ignore[arg-type]
    tables = tables_of(system(closed(4, 0.1), faults=faults, devices=20_000, link=LINK))
    devices = tables["devices"]
    assert (devices.size, tables["spells"].size) == (20_000, 3)
    assert (devices["slow_end"] - devices["slow"]).tolist() == [1, 1, 1, 2] + [1] * 19_996


@pytest.mark.parametrize(("room", "held_up"), [(1000.0, 0), (110.0, 1)])
def test_waiting_for_a_replica_is_no_waiting_for_memory(room: float, held_up: int) -> None:
    """Both prompts of 100 + 4 come while the only replica is down: with room for one, memory holds up the other."""
    lost = FaultWindow(kind="device_down", device="gpu", at_s=0.0, for_s=0.5)
    deployed = system(
        recorded([0.01, 0.02, 5.0], [100, 100, 1], [4, 4, 1]),
        mode="target_only",
        link=LINK,
        faults=(lost,),
        memory_gib=room / 1024,
        kv_mib=1.0,
    )
    run = kernel_run(deployed, most=2)
    assert run.tables["replicas"]["memory_waits"].tolist() == [held_up]


def fault_notes(*faults: FaultWindow) -> list[str]:
    notes = replay(system(closed(4, 0.1), faults=faults, link=LINK), requests=100, replications=2).notes
    return [note for note in notes if note.startswith("faults")]


def test_slow_spells_leave_no_mark() -> None:
    slow = FaultWindow(kind="slow_link", between=("edge", "region"), at_s=0.5, for_s=1.0, factor=3.0)
    (told,) = fault_notes(slow)
    assert told.startswith("faults: slow spells leave no mark on single requests, and are not counted; numbers are")
    (both,) = fault_notes(slow, FaultWindow(kind="device_down", device="gpu", at_s=0.5, for_s=0.01))
    assert "slow spells and waits for a replica that is down leave no mark on single requests" in both
    assert "prefilled again" in both


def test_a_fault_that_never_comes_is_told() -> None:
    (note,) = fault_notes(FaultWindow(kind="device_down", device="gpu", at_s=1e8, for_s=1.0))
    assert note.startswith("faults[0]: device_down at 1e+08 s: measuring ended before, at the latest at ")


def test_a_wait_for_a_dead_replica_is_not_booked_as_drafting() -> None:
    """Drafted 20–40, there at 45; down from 42 to 100, then prefilled again (100–110) and verified (110–120)."""
    down = FaultWindow(kind="device_down", device="gpu", at_s=0.042, for_s=0.058)
    deployed = system(
        recorded([0.0, 9.0], [100, 100], [6, 1]),
        target=StepLaw(step_ms=10.0),
        link=LINK,
        faults=(down,),
        acceptance=ALL_RIGHT,
    )
    run = Run(tables_of(deployed), keys_of(deployed, 0, 0), users_of(deployed), 2, keep_rounds=True)
    run.advance()
    found = run.tables["rounds"][1]
    times_ms = [float(found[f"{at}_ms"]) for at in ("asked", "sent", "joined", "began", "ended")]
    assert times_ms == [20.0, 40.0, 110.0, 110.0, 120.0]
    assert run.tables["sessions"]["sum_draft_ms"][0] == 20.0


def test_rounds_made_without_the_draft_have_no_window() -> None:
    """Of the lost device above: one drafted round is the last; all others are the target's own."""
    lost = FaultWindow(kind="device_down", device="box", index=0, at_s=0.03, for_s=0.07)
    deployed = system(
        recorded([0.0, 9.0], [100, 100], [13, 1]),
        target=StepLaw(step_ms=10.0),
        link=LINK,
        faults=(lost,),
        acceptance=ALL_RIGHT,
    )
    run = Run(tables_of(deployed), keys_of(deployed, 0, 0), users_of(deployed), 2, keep_rounds=True)
    run.advance()
    rounds = run.tables["rounds"][:9]
    assert rounds["window"].tolist() == [0, *[0] * 7, 4]
    assert (rounds["asked_ms"] <= rounds["sent_ms"]).all()
    assert (rounds["sent_ms"] <= rounds["joined_ms"]).all()


@pytest.mark.parametrize(
    ("changes", "wasted_ms"),
    [
        ({"mode": "distributed", "draft_cap": 4}, 10.0),
        ({"mode": "pipelined"}, 10.0 + 20.0),
        ({"mode": "distributed", "candidates": 2, "devices": 2, "devices_per_session": 2}, 10.0 + 10.0),
    ],
)
def test_a_device_that_fails_loses_its_batch(changes: dict[str, Any], wasted_ms: float) -> None:
    """As one that drafts a job at a time: lost at 30, alone until the token of 105 tells that it is back; the draft
    reads all again. Pipelined the last guess is thrown away as well; of two devices the other stops too.
    """
    index = 1 if "candidates" in changes else 0
    lost = FaultWindow(kind="device_down", device="box", index=index, at_s=0.03, for_s=0.07)
    given = {
        "target": StepLaw(step_ms=10.0),
        "link": LINK,
        "faults": (lost,),
        "acceptance": AcceptanceLaw(per_token=1.0),
    }
    run = kernel_run(system(recorded([0.0, 9.0], [100, 100], [13, 1]), **given, **changes), most=2)
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    mine = groups[groups["session"] == 0]
    expected = [(20.0, 1), *((t, 1) for t in (50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0)), (155.0, 5)]
    assert list(zip(mine["arrival_ms"].tolist(), mine["tokens"].tolist(), strict=True)) == expected
    assert run.tables["sessions"]["fate"][0] == ALONE | 7 << FATE_BITS
    assert run.tables["work"]["wasted_ms"][0] == wasted_ms


def test_a_guess_is_lost_with_its_device() -> None:
    """Guessing 40–65, gone 50–55: the verdict of 60 finds no guess; the draft reads all again and drafts, 60–85."""
    lost = FaultWindow(kind="device_down", device="box", at_s=0.05, for_s=0.005)
    found, session = arrivals(lost, output=11, mode="pipelined", acceptance=ALL_RIGHT)
    assert found == [(20.0, 1), (60.0, 5), (105.0, 5)]
    assert session["fate"] == 0


def test_a_guess_that_was_right_is_lost_before_it_is_done() -> None:
    """The verdict of 60 waits for the guess until 65, but it is lost at 62: one token alone (67–77, there at 82)."""
    lost = FaultWindow(kind="device_down", device="box", at_s=0.062, for_s=0.008)
    found, session = arrivals(lost, output=12, mode="pipelined", acceptance=ALL_RIGHT)
    assert found == [(20.0, 1), (60.0, 5), (82.0, 1), (127.0, 5)]
    assert session["fate"] == ALONE | 1 << FATE_BITS


def test_a_guess_that_is_done_is_lost_with_its_device() -> None:
    """The window waits for a cut link until 100; the guess of 40–65 is lost at 70: after the verdict 120–145."""
    lost = FaultWindow(kind="device_down", device="box", at_s=0.07, for_s=0.005)
    found, _ = arrivals(CUT, lost, output=11, mode="pipelined", acceptance=ALL_RIGHT)
    assert found == [(20.0, 1), (120.0, 5), (165.0, 5)]
