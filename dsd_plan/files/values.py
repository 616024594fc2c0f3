"""Types in plain words, and values as users wrote them: the vocabulary of every message about a file.

One description a type serves the messages and the table of keys in the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dsd_plan.domain.records import Count, Finite, Flag, Integer, Name, Natural, NonNegative, Positive, Probability

LONGEST_SHOWN = 60

_WORDS: tuple[tuple[Any, str], ...] = (
    (Name, "a name (text)"),
    (Count, "a whole number, 1 or more"),
    (Natural, "a whole number, 0 or more"),
    (Integer, "a whole number"),
    (Flag, "true or false"),
    (Finite, "a number"),
    (NonNegative, "a number, 0 or more"),
    (Positive, "a number above 0"),
    (Probability, "a number from 0 to 1"),
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (bool, "true or false"),
    (NoneType, "null"),
)


@cache
def keys_of(record: type[Any]) -> dict[str, Any]:
    """The keys of a domain type, in order, with their types."""
    hints = get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name] for field in fields(record)}


def default_of(record: type[Any], key: str) -> Any:
    """A key's default; `MISSING` where it has none and must be given."""
    return next(field.default for field in fields(record) if field.name == key)


def is_required(record: type[Any], key: str) -> bool:
    """Whether a key must be given."""
    return default_of(record, key) is MISSING


def is_record(kind: Any) -> bool:
    """Whether values of this type are tables with the keys of a domain type."""
    return isinstance(kind, type) and is_dataclass(kind)


def without_none(kind: Any) -> Any:
    """`X` for `X | None`; a union of several stays one."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    members = [member for member in get_args(kind) if member is not NoneType]
    return members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007 - built at run time


def is_union(kind: Any) -> bool:
    """Whether a value may be of several types."""
    return get_origin(kind) in (Union, UnionType)


def words_for(kind: Any) -> str:
    """What a value of this type looks like, e.g. "a number from 0 to 1"."""
    kind = without_none(kind)
    for known, words in _WORDS:
        if kind == known:
            return words
    arguments = get_args(kind)
    if is_union(kind):
        every = dict.fromkeys(words_for(argument) for argument in arguments)
        return " or ".join(words for words in every if words != "a whole number" or "a number" not in every)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(json.dumps(argument) for argument in arguments)
    if get_origin(kind) is tuple:
        return _words_for_list(arguments)
    if get_origin(kind) is dict:
        return f"a table, each value {words_for(arguments[1])}"
    return "a table" if is_record(kind) else "any value"


def _words_for_list(items: Sequence[Any]) -> str:
    if Ellipsis in items:
        return "a list, each " + words_for(items[0])
    if len(set(map(str, items))) == 1:
        return f"a list of {len(items)}, each {words_for(items[0])}"
    return "a list of " + " and ".join(words_for(item) for item in items)


def shown(value: Any) -> str:
    """A value as its user wrote it, cut to a line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool | int | float | str):
        written = json.dumps(value, ensure_ascii=False)
        cut = written if len(written) <= LONGEST_SHOWN else f"{written[:LONGEST_SHOWN]}…"
        return f"{cut} (text)" if isinstance(value, str) else cut
    return f"a {type(value).__name__}"
