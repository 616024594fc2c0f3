"""What is derived from a thing is kept for that very thing alone."""

from __future__ import annotations

from dsd_plan.domain.identity import Same


def test_equal_things_are_not_the_same() -> None:
    first, second = tuple(range(2)), tuple(range(2))
    assert first is not second
    assert Same(first) == Same(first)
    assert hash(Same(first)) == hash(Same(first))
    assert Same(first) != Same(second)
    assert Same(first) != first
