"""Timelines: valid trace events, slices that nest, and the times that the run had."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.files import write_timeline
from dsd_plan.replay.stretch import played
from dsd_plan.replay.timeline import timeline
from tests.replay.builder import closed, poisson, recorded, system

MIXED = system(
    {"chat": poisson(6.0, 100, 40), "code": poisson(2.0, 50, 20), "plain": closed(4, 0.2, 20, 10)},
    mode={"chat": "distributed", "code": "fused", "plain": "target_only"},
    link=Link(between=("edge", "region"), rtt_ms=20.0, jitter_cv=0.3),
    devices=3,
    replicas=2,
)
Event = dict[str, Any]


def slices(events: tuple[Event, ...], category: str) -> list[Event]:
    return [event for event in events if event.get("cat") == category]


@pytest.mark.parametrize("stretch", [{"sessions": 25}, {"seconds": 2.5}])
def test_events_are_valid_and_slices_of_a_thread_follow_each_other(stretch: dict[str, Any], tmp_path: Path) -> None:
    events = timeline(MIXED, requests=200, **stretch)
    write_timeline(tmp_path / "t.json", events, {"seed": 0})
    told = json.loads((tmp_path / "t.json").read_text())
    assert told["traceEvents"] == list(events)
    assert told["displayTimeUnit"] == "ms"
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert list(processes.values()) == [
        "gpu: target",
        "box: draft",
        "requests: chat",
        "requests: code",
        "requests: plain",
    ]
    threads = defaultdict(list)
    for event in events:
        assert event["ph"] in {"X", "C", "M"}
        assert {"name", "ph", "pid", "tid", "ts", "args"} <= set(event)
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] > 0
            assert (event["pid"], event["tid"]) in named
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        if event["ph"] == "C":
            assert all(value >= 0 for value in event["args"].values())
    for spans in threads.values():
        spans.sort()
        assert all(later[0] >= earlier[1] - 0.002 for earlier, later in pairwise(spans))
    if "seconds" in stretch:
        assert max(e["ts"] + e.get("dur", 0.0) for e in events) <= 2.5e6


@pytest.mark.parametrize(
    "how",
    [
        {"mode": "pipelined"},
        {"mode": "pipelined", "draft_cap": 4},
        {"mode": "distributed", "draft_cap": 4},
        {"mode": "pipelined", "candidates": 2, "devices_per_session": 2},
    ],
)
def test_slices_follow_each_other_however_drafts_are_made(how: dict[str, Any]) -> None:
    events = timeline(system(poisson(6.0, 100, 40), devices=4, replicas=2, **how), requests=100, sessions=10)
    threads = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert {pid for pid, _ in threads} == {1, 2, 3}
    for spans in threads.values():
        assert all(later[0] >= earlier[1] - 0.002 for earlier, later in pairwise(sorted(spans)))


def test_a_lone_request_told_by_hand() -> None:
    """10 up, prefill 22, 10 down; then draft 4 · 5, up 10, verify 21, down 10: each to the microsecond."""
    target = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02)
    events = timeline(system(closed(1, 0.0, 100, 40), target=target), requests=4, sessions=1)
    mine = sorted((e for e in events if e["ph"] == "X" and e["pid"] == 3), key=lambda e: e["ts"])
    assert [(e["name"], e["ts"], e["dur"]) for e in mine[:7]] == [
        ("up", 0.0, 10000.0),
        ("prefill", 10000.0, 22000.0),
        ("down", 32000.0, 10000.0),
        ("draft", 42000.0, 20000.0),
        ("up", 62000.0, 10000.0),
        ("verify", 72000.0, 21000.0),
        ("down", 93000.0, 10000.0),
    ]
    (first, second, *_) = slices(events, "iteration")
    assert (first["name"], first["ts"], first["args"]["prompt_tokens"]) == ("prefill ×1", 10000.0, 100)
    assert (second["name"], second["ts"], second["args"]["new_tokens"]) == ("verify ×1", 72000.0, 5)
    assert next((e["ts"], e["dur"]) for e in slices(events, "draft") if e["pid"] == 2) == (42000.0, 20000.0)
    live = [e["args"]["sessions"] for e in events if e["name"] == "live sessions"]
    assert set(live) <= {0, 1}


def test_a_followed_request_is_told_whole() -> None:
    """A distributed request's slices fill its time from its start to its last token."""
    stretch = played(MIXED, 0, 200, sessions=25)
    events = timeline(MIXED, requests=200, sessions=25)
    spent: dict[int, float] = defaultdict(float)
    for event in events:
        if event["ph"] == "X" and event["pid"] == 3:
            spent[event["tid"]] += event["dur"]
    chat = [s for s in stretch.sessions if stretch.first <= s["number"] < stretch.end and s["stream"] == 0]
    assert len(chat) == len(spent) > 5
    for session in chat:
        lasted_ms = float(session["last_ms"] - session["started_ms"])
        assert spent[int(session["number"])] / 1000.0 == pytest.approx(lasted_ms, abs=1e-2)


def test_every_iteration_in_the_stretch_is_there_with_all_its_jobs() -> None:
    stretch = played(MIXED, 0, 200, sessions=25)
    for event in slices(timeline(MIXED, requests=200, sessions=25), "iteration"):
        names = [int(part.rpartition("×")[2]) for part in event["name"].split(" + ")]
        assert sum(names) == event["args"]["jobs"]
    batches = {(r["replica"], r["began_ms"]): r["batch"] for r in stretch.rounds if r["ended_ms"] > stretch.start_ms}
    told = slices(timeline(MIXED, requests=200, sessions=25), "iteration")
    ended = [key for key in batches if key[1] < stretch.end_ms]
    assert sum(event["args"]["jobs"] for event in told) == sum(batches[key] for key in ended)


def test_the_stretch_of_a_recording_ends_with_it() -> None:
    arrivals = [0.1 * i for i in range(50)]
    trace = system(recorded(arrivals, [100] * 50, [5] * 50), mode="target_only")
    stretch = played(trace, 0, 4000, sessions=400)
    assert 0 < stretch.first <= 10
    assert stretch.end == 50


@pytest.mark.parametrize("wrong", [{"sessions": 0}, {"seconds": 0.0}])
def test_an_empty_stretch_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        timeline(MIXED, **wrong)
