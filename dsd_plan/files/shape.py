"""From a raw table to a domain type, and every way in which its keys and values are wrong, in plain words.

The types check themselves (see `domain.records`); this turns what they find into problems with a place, what was
found, what was expected and what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from dsd_plan.errors import Problem
from dsd_plan.files.reading import unusable_values
from dsd_plan.files.values import (
    LONGEST_SHOWN,
    is_record,
    is_required,
    is_union,
    keys_of,
    shown,
    without_none,
    words_for,
)

T = TypeVar("T")
Loc = tuple[str | int, ...]

MOST_PROBLEMS_LISTED = 100

MOST_PASSES = 4
"""A misspelt table hides what is wrong inside it until it is respelt; tables nest no deeper than this."""

KEY_ITSELF = "[key]"
"""Last step of the place of an error that is in a key, not in its value."""

_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Shaped(Generic[T]):
    """A raw value made into its type: the value, or why not."""

    value: T | None
    problems: tuple[Problem, ...]
    mended: T | None
    """The value without the keys that have problems, where that leaves one: good enough to look for more."""
    doubtful: frozenset[str]
    """Places that were left out or stood in for in `mended`, and the tables they are in: what is found wrong there
    may only follow from that."""


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
"""Made once a type: making one takes longer than using it."""


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """The checker and dumper of a domain type."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def shape(kind: type[T], raw: Any, place: str = "", loader_keys: tuple[str, ...] = ()) -> Shaped[T]:
    """Check `raw` against a domain type. `loader_keys` are fields that no file may hold."""
    raw = _copied(raw)
    found: dict[Loc, Problem] = {}
    for key in loader_keys:
        if isinstance(raw, dict) and key in raw:
            found[(key,)] = Problem(place_of(kind, (key,), place), "unknown key; leave it out")
            del raw[key]
    for loc, unusable, expected in unusable_values(raw):
        found[loc] = Problem(place_of(kind, loc, place), f"found {unusable}, {expected}")
        _replace(raw, loc, None)
    value: T | None = None
    changed = set(found)
    for _ in range(MOST_PASSES):
        try:
            value = adapter(kind).validate_python(raw)
            break
        except ValidationError as failure:
            errors = [(tuple(error["loc"]), error["type"]) for error in failure.errors(include_url=False)]
        meant = _meant(kind, raw, [loc for loc, error in errors if error == "unexpected_keyword_argument"])
        for loc, error in errors:
            if error == "missing" and isinstance(loc[-1], int):
                loc = loc[:-1]  # A list that is too short is wrong as a whole.
            at, expected = _at(kind, loc)
            if error == "missing" and at in meant.values():
                continue
            if loc[-1:] == (KEY_ITSELF,):
                at = loc[:-1]
                text = "the key is no name: expected 1 to 500 characters"
                found.setdefault(at, Problem(place_of(kind, at, place), text))
                continue
            text = _text(kind, raw, at, error, expected, meant, loader_keys)
            found.setdefault(at, Problem(place_of(kind, at, place), text))
        if not _mend(kind, raw, errors, meant, changed):
            break
    doubtful = frozenset(place_of(kind, loc, place) for at in changed for loc in (at, at[:-1]))
    return Shaped(None if found else value, tuple(found.values()), value, doubtful - {""})


def listed(problems: Sequence[Problem] | Any) -> tuple[Problem, ...]:
    """Problems for one message; a file with hundreds of them names the first and counts the rest."""
    every = tuple(problems)
    if len(every) <= MOST_PROBLEMS_LISTED:
        return every
    rest = len(every) - MOST_PROBLEMS_LISTED
    return (*every[:MOST_PROBLEMS_LISTED], Problem("", f"and {rest} more; mend these first"))


def place_of(kind: Any, loc: Loc, prefix: str = "") -> str:
    """A place as users write it: `devices[1].profiles["llama-70b"]`. Keys of open tables are quoted."""
    text, here = prefix, kind
    for step in loc:
        here = None if here is None else without_none(here)
        if isinstance(step, int):
            text += f"[{step}]"
        elif get_origin(here) is not dict and len(step) <= LONGEST_SHOWN and _BARE_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{_printable(step)}"]'
        here = _inside(here, step)
    return text


def _inside(kind: Any, step: str | int) -> Any:
    """The type of an item or key of a type; None where it has none of that name."""
    if is_record(kind) and isinstance(step, str):
        return keys_of(kind).get(step)
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is tuple and isinstance(step, int):
        return arguments[0] if Ellipsis in arguments else arguments[step] if step < len(arguments) else None
    return None


def _at(kind: Any, loc: Loc) -> tuple[Loc, Any]:
    """Where an error belongs and what was expected there.

    A union's error carries the member's name, and a list that is too short its missing item: both belong to the
    value as a whole.
    """
    here = without_none(kind)
    for depth, step in enumerate(loc):
        inside = _inside(here, step)
        if is_union(here) or (inside is None and not is_record(here)):
            return loc[:depth], here
        here = None if inside is None else without_none(inside)
    return loc, here


def _text(
    kind: Any, raw: Any, at: Loc, error: str, expected: Any, meant: dict[Loc, Loc], loader_keys: tuple[str, ...]
) -> str:
    if error == "unexpected_keyword_argument":
        if at in meant:
            return f"unknown key; did you mean `{meant[at][-1]}`?"
        known = [key for key in keys_of(_at(kind, at[:-1])[1]) if key not in loader_keys]
        return f"unknown key; known here: {', '.join(known)}"
    if error == "missing" and _parent_lacks(raw, at):
        return f"missing; expected {words_for(expected)}; add `{at[-1]} = …`"
    value = _look_up(raw, at)
    return f"found {shown(value)}, expected {words_for(expected)}{_hint(value, words_for(expected))}"


def _hint(value: Any, expected: str) -> str:
    """What to do about the usual slips."""
    if isinstance(value, str):
        if not value:
            return "; write one"
        if len(value) > 500:
            return ", 500 characters at most; shorten it"
        if "number" in expected and re.fullmatch(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*", value):
            return f"; write {value.strip()} without quotes"
        if "one of" in expected:
            near = difflib.get_close_matches(value, re.findall(r'"([^"]+)"', expected), n=1)
            return f"; did you mean {near[0]}?" if near else "; use one of them"
    if isinstance(value, float) and "whole" in expected and value.is_integer():
        return f"; write {int(value)}"
    return "; correct it"


def _meant(kind: Any, raw: Any, unknown: Sequence[Loc]) -> dict[Loc, Loc]:
    """For each unknown key the known one that it resembles, unless that one is given as well."""
    meant: dict[Loc, Loc] = {}
    for loc in unknown:
        record = _at(kind, loc[:-1])[1]
        present = _look_up(raw, loc[:-1])
        if not is_record(record) or not isinstance(present, dict):
            continue
        free = [key for key in keys_of(record) if key not in present]
        near = difflib.get_close_matches(str(loc[-1]).lower(), free, n=1, cutoff=0.55)
        if near:
            meant[loc] = (*loc[:-1], near[0])
    return meant


def _mend(kind: Any, raw: Any, errors: Sequence[tuple[Loc, str]], meant: dict[Loc, Loc], changed: set[Loc]) -> bool:
    """Respell misspelt keys, leave wrong optional ones out, stand in for wrong amounts; False where that fails.

    Adds to `changed` what is not as its user meant it.
    """
    for loc, error in errors:
        at, expected = _at(kind, loc)
        if at in meant.values():
            continue
        if loc[-1:] == (KEY_ITSELF,):
            _remove(raw, loc[:-1])
            continue
        if error == "unexpected_keyword_argument":
            if at in meant:
                _replace(raw, meant[at], _look_up(raw, at))
            _remove(raw, at)
            continue
        owner = _owned_by_record(kind, at)
        changed.add(owner)
        if not owner:
            return False
        if not is_required(_at(kind, owner[:-1])[1], str(owner[-1])):
            _remove(raw, owner)
        elif owner == at and words_for(expected) in _STAND_INS:
            _replace(raw, at, _STAND_INS[words_for(expected)])
        else:
            return False
    return True


def _owned_by_record(kind: Any, loc: Loc) -> Loc:
    """The key of a domain type that holds this place: `search.windows` for `search.windows[1]`."""
    while loc and not (is_record(_at(kind, loc[:-1])[1]) and isinstance(loc[-1], str)):
        loc = loc[:-1]
    return loc


_STAND_INS: dict[str, float] = {
    "a whole number, 1 or more": 1,
    "a whole number, 0 or more": 1,
    "a number, 0 or more": 1e9,
    "a number above 0": 1e9,
    "a number from 0 to 1": 1.0,
}
"""Amounts so large that nothing is said to be too small for them."""


def _copied(raw: Any) -> Any:
    """Copies of the tables and lists alone; nesting is limited when a file is read."""
    if isinstance(raw, dict):
        return {key: _copied(value) for key, value in raw.items()}
    return [_copied(value) for value in raw] if isinstance(raw, list) else raw


def _look_up(raw: Any, loc: Loc) -> Any:
    for step in loc:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _parent_lacks(raw: Any, loc: Loc) -> bool:
    parent = _look_up(raw, loc[:-1])
    return isinstance(parent, dict) and loc[-1] not in parent


def _replace(raw: Any, loc: Loc, value: Any) -> None:
    parent, step = _look_up(raw, loc[:-1]), loc[-1] if loc else None
    in_list = isinstance(parent, list) and isinstance(step, int) and step < len(parent)
    if in_list or (isinstance(parent, dict) and step is not None):
        parent[step] = value


def _remove(raw: Any, loc: Loc) -> None:
    parent = _look_up(raw, loc[:-1])
    if isinstance(parent, dict):
        parent.pop(loc[-1], None)


def _printable(text: str) -> str:
    cut = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode("ascii")
