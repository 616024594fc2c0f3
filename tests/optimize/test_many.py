"""One replay of many workloads: by hand, what is chance and what the model has to learn."""

from __future__ import annotations

import pytest

from dsd_plan.domain.scenario import Mode
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.many import lesson_of

QUANTITY = "tpot_p95_ms"
MODE: Mode = "fused"


def choice(targets: dict[str, str]) -> Choice:
    candidates = tuple(Candidate(name, MODE, "big", target, "small", target, 3) for name, target in targets.items())
    return Choice(candidates, tuple((target, 1) for target in dict.fromkeys(targets.values())))


def reading(values: dict[str, float]) -> dict[tuple[str, str], float | None]:
    return {(name, QUANTITY): value for name, value in values.items()}


TWO = choice({"a": "here", "b": "here", "c": "there", "d": "there"})
EXPECTED = reading(dict.fromkeys("abcd", 50.0))


def test_a_target_that_had_a_bad_minute_teaches_nothing() -> None:
    # Here 30 % off on average, because of one run of four: 0 %, 0 %, 0 %, 120 %.
    runs = [reading({"a": 50.0 * f, "b": 50.0 * f, "c": 51.0, "d": 51.0}) for f in (1.0, 1.0, 1.0, 2.2)]
    seen = reading({"a": 65.0, "b": 65.0, "c": 51.0, "d": 51.0})
    found = lesson_of(TWO, EXPECTED, seen, runs, frozenset(), gross=0.1)
    # There all runs say the same 2 %, and that is no chance.
    assert found.off == pytest.approx(0.02)
    assert found.factors["a", MODE, QUANTITY] == pytest.approx((1.3 + 1.02) / 2)


def test_a_target_that_is_off_in_every_run_is_corrected_by_itself() -> None:
    runs = [reading({"a": 65.0, "b": 65.0, "c": 50.0, "d": 50.0}) for _ in range(4)]
    found = lesson_of(TWO, EXPECTED, runs[0], runs, frozenset(), gross=0.1)
    assert found.off == pytest.approx(0.3)
    assert found.factors["a", MODE, QUANTITY] == pytest.approx(1.3)
    assert found.factors["c", MODE, QUANTITY] == pytest.approx(1.15)  # the median of 1, 1, 1.3 and 1.3


def test_who_broke_a_budget_is_corrected_by_its_own_error() -> None:
    seen = reading({"a": 70.0, "b": 51.0, "c": 50.0, "d": 50.0})
    broken = frozenset({("a", QUANTITY)})
    found = lesson_of(TWO, EXPECTED, seen, [], broken, gross=0.5)
    assert found.factors["a", MODE, QUANTITY] == pytest.approx(1.4)
    assert found.factors["b", MODE, QUANTITY] == pytest.approx(1.01)  # the median of 1, 1, 1.02 and 1.4
    # A single replay has no luck to speak of: all of the error counts, the median of 1.4 and 1.02.
    assert found.off == pytest.approx(0.21)


def test_what_was_not_seen_teaches_nothing() -> None:
    seen = {**reading({"a": 50.0, "c": 50.0, "d": 50.0}), ("b", QUANTITY): None}
    found = lesson_of(TWO, EXPECTED, seen, [], frozenset(), gross=0.1)
    assert ("b", MODE, QUANTITY) not in found.factors
    assert found.off == 0.0
