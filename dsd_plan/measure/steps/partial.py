"""A measurement under way, as it is kept in case it does not end: what identifies it, and every sample so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import GridPoint

SCHEMA = "dsd-plan/partial/1"

Identity = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Partial:
    """Everything that it takes to go on where a measurement stopped."""

    identity: Identity
    """What is measured, and how: two measurements may be joined only where all of it agrees."""
    began_at: str
    spent_s: float
    rounds: int
    anchor_ms: float
    """The anchor step at the start, to which the end is compared."""
    timed_s: float
    timed_cpu_s: float
    points: tuple[tuple[int, bool, GridPoint], ...]
    """(which runner, whether it is held out, what), in the order of the measurement."""
    visits_ms: tuple[tuple[tuple[float, ...], ...], ...]
    """By point, visit by visit."""

    def body(self) -> dict[str, Any]:
        """As a JSON file holds it."""
        return {
            "schema": SCHEMA,
            "identity": dict(self.identity),
            "began_at": self.began_at,
            "spent_s": self.spent_s,
            "rounds": self.rounds,
            "anchor_ms": self.anchor_ms,
            "timed_s": self.timed_s,
            "timed_cpu_s": self.timed_cpu_s,
            "points": [[runner, held_out, *astuple(point)] for runner, held_out, point in self.points],
            "visits_ms": [[list(visit) for visit in visits] for visits in self.visits_ms],
        }


def partial_of(body: Any, name: str) -> Partial:
    """What `Partial.body` gave, read again. Raises ``MeasurementError`` for anything else; ``name`` is the file's."""
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        found = body.get("schema") if isinstance(body, dict) else None
        raise MeasurementError(f"{name}: found schema {found!r}, expected {SCHEMA!r}; measure from the start")
    try:
        points = tuple(_point(row) for row in body["points"])
        if len(points) != len(body["visits_ms"]):
            raise ValueError(f"{len(points)} points, visits of {len(body['visits_ms'])}")
        return Partial(
            identity=dict(body["identity"]),
            began_at=str(body["began_at"]),
            spent_s=_time(body["spent_s"]),
            rounds=_whole(body["rounds"], 0),
            anchor_ms=_positive(body["anchor_ms"]),
            timed_s=_time(body["timed_s"]),
            timed_cpu_s=_time(body["timed_cpu_s"]),
            points=points,
            visits_ms=tuple(tuple(_visit(visit) for visit in visits) for visits in body["visits_ms"]),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise MeasurementError(f"{name}: not an unfinished measurement ({wrong}); measure from the start") from None


def _point(row: Any) -> tuple[int, bool, GridPoint]:
    runner, held_out, phase, batch, new_tokens, context_tokens = row
    if phase not in ("decode", "prefill"):
        raise ValueError(f"a phase {phase!r}")
    point = GridPoint(phase, _whole(batch, 1), _whole(new_tokens, 1), _whole(context_tokens, 0))
    return _whole(runner, 0), bool(held_out), point


def _visit(values: Any) -> tuple[float, ...]:
    visit = tuple(_positive(value) for value in values)
    if not visit:
        raise ValueError("a visit without steps")
    return visit


def _whole(value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{value!r}, expected a whole number from {low}")
    return value


def _time(value: Any) -> float:
    number = float(value)
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"a time of {number}")
    return number


def _positive(value: Any) -> float:
    number = float(value)
    if not 0.0 < number < float("inf"):
        raise ValueError(f"a step of {number} ms")
    return number


def check_same(partial: Partial, identity: Identity) -> None:
    """Raise ``MeasurementError`` naming all that differs between an unfinished measurement and this one."""
    differing = [
        f"{key} was {partial.identity.get(key)!r}, is {identity.get(key)!r}"
        for key in dict.fromkeys((*partial.identity, *identity))
        if partial.identity.get(key) != identity.get(key)
    ]
    if differing:
        raise MeasurementError(
            f"the unfinished measurement of {partial.began_at} is another one: {'; '.join(differing)}; "
            "measure as it did, or without --resume"
        )


def check_runners(partial: Partial, runners: int) -> None:
    """Raise ``MeasurementError`` unless its points are those of so many runners, one runner after the other."""
    found = list(dict.fromkeys(runner for runner, _, _ in partial.points))
    in_order = [runner for runner, _, _ in partial.points] == sorted(runner for runner, _, _ in partial.points)
    if found != list(range(runners)) or not in_order:
        raise MeasurementError(
            f"the unfinished measurement of {partial.began_at} holds points of models {found}, expected "
            f"{list(range(runners))} one after the other; was it edited? measure without --resume"
        )


def kept_visits(visits_ms: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Visits rounded to a tenth of a microsecond, which no clock resolves."""
    return tuple(tuple(round(value, 4) for value in visit) for visit in visits_ms)
