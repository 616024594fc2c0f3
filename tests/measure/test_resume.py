"""A measurement that is broken off is kept, goes on where it stopped, and is not mixed with another."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.partial import Partial, partial_of
from dsd_plan.measure.steps.profile import Settings, profile_together
from tests.measure.fake_device import GRID, FakeClock, FakeRunner

SETTINGS = Settings(device="box", grid=GRID, budget_s=30.0)


PROBES = 4
"""Steps that tell beforehand what the grid will cost; then comes the anchor."""


class DiedError(Exception):
    """What a test throws into a measurement."""


def broken_off(after_steps: int, runner: FakeRunner | None = None) -> list[Partial]:
    """A measurement that dies, and all that it handed out to be kept."""
    runner = runner or FakeRunner(FakeClock(), noise=0.3)
    kept: list[Partial] = []
    left = [after_steps]

    def die() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise DiedError

    runner.on_visit = die
    with pytest.raises(DiedError):
        profile_together((runner,), SETTINGS, clock=runner.clock, on_partial=kept.append)
    return kept


def samples(partial: Partial) -> int:
    return sum(len(visit) for visits in partial.visits_ms for visit in visits)


def test_what_was_measured_is_kept_when_it_dies() -> None:
    kept = broken_off(30)
    assert len(kept) == 1
    assert sum(len(visits) for visits in kept[0].visits_ms) == 30 - PROBES - 2


def test_it_is_kept_every_ten_seconds_too() -> None:
    kept = broken_off(3000)
    assert len(kept) >= 3
    spans = [later.spent_s - earlier.spent_s for earlier, later in pairwise(kept[:-1])]
    assert all(10.0 <= span < 11.0 for span in spans)
    assert [samples(partial) for partial in kept] == sorted(samples(partial) for partial in kept)


def test_it_goes_on_where_it_stopped() -> None:
    partial = broken_off(200)[-1]
    again = partial_of(json.loads(json.dumps(partial.body())), "kept")
    assert again == partial
    runner = FakeRunner(FakeClock(), noise=0.3)
    kept: list[Partial] = []
    profile = profile_together((runner,), SETTINGS, clock=runner.clock, resume=again, on_partial=kept.append)[0]
    for before, after in zip(partial.visits_ms, kept[-1].visits_ms, strict=True):
        assert after[: len(before)] == before
    assert profile.method is not None
    assert profile.method["resumed"] is True
    assert kept[-1].spent_s == pytest.approx(30.0, abs=1.0)
    assert kept[-1].anchor_ms == partial.anchor_ms
    assert sum(point.samples for point in profile.points) <= samples(kept[-1])


def test_a_machine_that_changed_since_is_noticed() -> None:
    """The end is compared to the first start, not to the second."""
    partial = broken_off(60)[-1]
    slower = FakeRunner(FakeClock(), noise=0.3, factor=lambda wall: 1.6)
    with pytest.raises(MeasurementError, match="the same step took"):
        profile_together((slower,), SETTINGS, clock=slower.clock, resume=partial)


@pytest.mark.parametrize(
    ("change", "settings", "named"),
    [
        ({"model": "other"}, {}, "model was 'known', is 'other'"),
        ({"precision": "half"}, {}, "precision was 'none', is 'half'"),
        ({}, {"threads": 2}, "threads was 1, is 2"),
        ({}, {"seed": 4}, "seed was 0, is 4"),
        ({}, {"grid": replace(GRID, name="finer", decode_batch=(1, 2, 3, 4))}, "grid was 'test', is 'finer'; points"),
        ({}, {"device": "bag"}, "device was 'box', is 'bag'"),
    ],
)
def test_another_measurement_is_refused(change: dict[str, Any], settings: dict[str, Any], named: str) -> None:
    partial = broken_off(40)[-1]
    runner = FakeRunner(FakeClock())
    for name, value in change.items():
        setattr(runner, name, value)
    with pytest.raises(MeasurementError, match=f"is another one: .*{named}.*without --resume"):
        profile_together((runner,), replace(SETTINGS, **settings), clock=runner.clock, resume=partial)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop("identity"),
        lambda body: body.update(schema="dsd-plan/partial/7"),
        lambda body: body["visits_ms"][0].append([-1.0]),
        lambda body: body["visits_ms"][0].append(["x"]),
        lambda body: body["visits_ms"][0].append([float("nan")]),
        lambda body: body.update(visits_ms=3),
        lambda body: body["points"].pop(),
        lambda body: body["points"][0].__setitem__(2, "sleep"),
        lambda body: body.update(rounds=None),
    ],
)
def test_a_spoilt_file_is_refused(spoil: Any) -> None:
    body = json.loads(json.dumps(broken_off(40)[-1].body()))
    spoil(body)
    with pytest.raises(MeasurementError, match=r"kept: .*; measure from the start"):
        partial_of(body, "kept")
    with pytest.raises(MeasurementError, match="found schema None"):
        partial_of([], "kept")


BODY: dict[str, Any] = {
    "schema": "dsd-plan/partial/1",
    "identity": {"device": "box"},
    "began_at": "then",
    "spent_s": 1.0,
    "rounds": 1,
    "anchor_ms": 2.0,
    "timed_s": 1.0,
    "timed_cpu_s": 1.0,
    "points": [[0, False, "decode", 1, 1, 16]],
    "visits_ms": [[[2.0, 2.1]]],
}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"visits_ms": [[[]]]},
        {"anchor_ms": 0.0},
        {"anchor_ms": float("nan")},
        {"rounds": -1},
        {"rounds": float("inf")},
        {"spent_s": -1e9},
        {"spent_s": float("inf")},
        {"timed_s": float("nan")},
        {"points": [[0, False, "decode", 0, 1, 16]]},
        {"points": [[0, False, "decode", 1, 1, -1]]},
        {"points": [[0, False, "decode", 1.5, 1, 16]]},
        {"points": [[-1, False, "decode", 1, 1, 16]]},
    ],
)
def test_a_kept_measurement_that_cannot_be_true_is_refused(spoilt: dict[str, Any]) -> None:
    assert partial_of(BODY, "kept").visits_ms == (((2.0, 2.1),),)
    with pytest.raises(MeasurementError, match=r"kept: not an unfinished measurement .* measure from the start"):
        partial_of(BODY | spoilt, "kept")


@pytest.mark.parametrize("runner", [1, 7])
def test_points_of_a_model_that_is_not_measured_are_refused(runner: int) -> None:
    partial = broken_off(200)[-1]
    edited = replace(partial, points=tuple((runner, held_out, point) for _, held_out, point in partial.points))
    fresh = FakeRunner(FakeClock(), noise=0.3)
    with pytest.raises(MeasurementError, match="was it edited"):
        profile_together((fresh,), SETTINGS, clock=fresh.clock, resume=edited)
