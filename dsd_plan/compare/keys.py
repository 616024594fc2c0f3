"""Which keys of two nested tables differ, written as `sweep --vary` takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsd_plan.compare.differences import alike
from dsd_plan.domain.comparison import Change, KeyChange

IDENTITIES = (("name",), ("between",), ("draft", "target"), ("device", "model"), ("workload",))
"""What an item of a list is about: the first of these that it holds whole."""
JOINS = {("between",): "-", ("draft", "target"): "+", ("device", "model"): "/"}


def key_changes(before: Any, after: Any, at: str = "") -> tuple[KeyChange, ...]:
    """Every key whose value differs, in the order of the tables; a key that is None counts as not there."""
    return tuple(_changes(before, after, at))


def _changes(before: Any, after: Any, at: str) -> Iterator[KeyChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(key), after.get(key), f"{at}.{_written(key)}" if at else _written(key))
    elif _is_table(before) and _is_table(after):
        old, new = _by_identity(before), _by_identity(after)
        for identity in dict.fromkeys([*old, *new]):
            yield from _changes(old.get(identity), new.get(identity), f"{at}[{identity}]")
    elif not _same(before, after):
        change: Change = "added" if before is None else "removed" if after is None else "changed"
        yield KeyChange(key=at, change=change, before=before, after=after)


def _written(key: Any) -> str:
    """A key; in quotes where a dot of its own would read as the next level."""
    return f'"{key}"' if any(letter in str(key) for letter in '."[] ') else str(key)


def _is_table(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _by_identity(items: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Items by what they are about; by their position where that does not tell them apart."""
    names = [_identity(item) for item in items]
    often = Counter(names)
    return {
        str(at) if name is None or often[name] > 1 else name: item
        for at, (name, item) in enumerate(zip(names, items, strict=True))
    }


def _identity(item: Mapping[str, Any]) -> str | None:
    for keys in IDENTITIES:
        if all(item.get(key) is not None for key in keys):
            parts = [item[key] for key in keys]
            flat = parts[0] if len(parts) == 1 and _is_list(parts[0]) else parts
            return JOINS.get(keys, "").join(str(part) for part in flat)
    return None


def _same(before: Any, after: Any) -> bool:
    if _is_number(before) and _is_number(after):
        return alike(float(before), float(after))
    if _is_list(before) and _is_list(after):
        return len(before) == len(after) and all(_same(old, new) for old, new in zip(before, after, strict=True))
    return type(before) is type(after) and bool(before == after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
