"""Which keys differ, and how they are called."""

from __future__ import annotations

from dsd_plan.compare.keys import key_changes
from dsd_plan.domain.comparison import KeyChange


def changed(key: str, before: object, after: object) -> KeyChange:
    kind = "added" if before is None else "removed" if after is None else "changed"
    return KeyChange(key=key, change=kind, before=before, after=after)


def test_items_are_called_by_what_they_are_about() -> None:
    before = {
        "links": [{"between": ["metro", "region"], "rtt_ms": 20.0}],
        "pairs": [{"draft": "a", "target": "b", "acceptance": {"survival": [0.7, 0.5]}}],
        "devices": [{"name": "h200", "count": 2}, {"name": "old", "count": 1}],
        "deployments": [{"device": "h200", "model": "b", "count": 2}],
        "assignments": [{"workload": "chat", "mode": "fused"}],
    }
    after = {
        "links": [{"between": ["metro", "region"], "rtt_ms": 30.0}],
        "pairs": [{"draft": "a", "target": "b", "acceptance": {"survival": [0.7, 0.6]}}],
        "devices": [{"name": "new", "count": 3}, {"name": "h200", "count": 4}],
        "deployments": [{"device": "h200", "model": "b", "count": 3}],
        "assignments": [{"workload": "chat", "mode": "distributed", "window": 3}],
    }
    assert set_of(key_changes(before, after)) == set_of(
        (
            changed("links[metro-region].rtt_ms", 20.0, 30.0),
            changed("pairs[a+b].acceptance.survival", [0.7, 0.5], [0.7, 0.6]),
            changed("devices[h200].count", 2, 4),
            changed("devices[old]", {"name": "old", "count": 1}, None),
            changed("devices[new]", None, {"name": "new", "count": 3}),
            changed("deployments[h200/b].count", 2, 3),
            changed("assignments[chat].mode", "fused", "distributed"),
            changed("assignments[chat].window", None, 3),
        )
    )


def set_of(found: tuple[KeyChange, ...]) -> set[str]:
    return {repr(change) for change in found}


def test_the_order_of_items_is_no_change_and_neither_is_rounding() -> None:
    before = {"sites": [{"name": "a", "x": 0.1 + 0.2}, {"name": "b", "x": 1}]}
    after = {"sites": [{"name": "b", "x": 1.0}, {"name": "a", "x": 0.3}]}
    assert key_changes(before, after) == ()


def test_what_is_not_told_apart_by_name_goes_by_position() -> None:
    shares = [{"workload": "chat", "share": 0.5}, {"workload": "chat", "share": 0.5}]
    moved = [{"workload": "chat", "share": 0.5}, {"workload": "chat", "share": 0.4}]
    assert key_changes({"assignments": shares}, {"assignments": moved}) == (changed("assignments[1].share", 0.5, 0.4),)


def test_a_key_that_is_none_is_not_there_and_odd_keys_are_quoted() -> None:
    assert key_changes({"a": None}, {}) == ()
    assert key_changes({"profiles": {"llama-3.1": 1}}, {"profiles": {"llama-3.1": 2}}) == (
        changed('profiles."llama-3.1"', 1, 2),
    )
    assert key_changes({"a": True}, {"a": 1}) == (changed("a", True, 1),)
