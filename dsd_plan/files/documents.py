"""What every file of a schema has in common: its schema number, its shape, its sense, one message for all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from dsd_plan.errors import InputError, Problem, SchemaVersionError
from dsd_plan.files.reading import FileText, json_of
from dsd_plan.files.shape import Shaped, adapter, listed, shape
from dsd_plan.files.values import shown
from dsd_plan.files.writing import write_json

T = TypeVar("T")
Sense = Callable[[T], tuple[Problem, ...]]

SCHEMA_VERSION = 1

_SCHEMA = re.compile(r"dsd-plan/([a-z-]+)/(\d{1,6})")


def document_of(
    file: FileText,
    kind: type[T],
    document: str,
    error: type[InputError],
    *,
    sense: Sense[T] | None = None,
    prepare: Callable[[dict[str, Any], str], list[Problem]] | None = None,
) -> T:
    """A JSON document of schema `dsd-plan/<document>/1` as a domain type. Raises `error` or SchemaVersionError.

    `prepare` may change the raw table before its shape is checked; it is given the file's name for its messages.
    """
    raw = json_of(file, error)
    if isinstance(raw.get("schema"), str) and _SCHEMA.fullmatch(raw["schema"]):
        other = take_schema(dict(raw), document, file.name)
        if other:
            # A document of another kind has another kind's keys: they are no news.
            raise error(file.name, other)
    problems = take_schema(raw, document, file.name)
    if prepare is not None:
        problems += prepare(raw, file.name)
    return sound(file.name, shape(kind, raw), error, sense, problems)


def dumped(value: T, kind: type[T], document: str) -> dict[str, Any]:
    """The JSON body of a document."""
    return {"schema": f"dsd-plan/{document}/{SCHEMA_VERSION}", **adapter(kind).dump_python(value, mode="json")}


def save_document(
    path: str | Path, value: T, kind: type[T], document: str, error: type[InputError], sense: Sense[T] | None = None
) -> None:
    """Write a document that can be read again. Raises `error` where `value` makes no sense."""
    problems = () if sense is None else sense(value)
    if problems:
        raise error(f"{document} for {path}", listed(problems))
    write_json(path, dumped(value, kind, document))


def take_schema(raw: dict[str, Any], document: str, name: str) -> list[Problem]:
    """Take `schema` out of a JSON document. Raises SchemaVersionError when it is written for another version."""
    wanted = f"dsd-plan/{document}/{SCHEMA_VERSION}"
    if "schema" not in raw:
        return [Problem("schema", f'missing; add `"schema": "{wanted}"`')]
    found = raw.pop("schema")
    written = _SCHEMA.fullmatch(found) if isinstance(found, str) else None
    if written is None:
        return [Problem("schema", f'found {shown(found)}, expected "{wanted}"')]
    if written[1] != document:
        article = "an" if written[1][0] in "aeiou" else "a"
        return [Problem("schema", f'the file is {article} {written[1]} ("{found}"), expected "{wanted}"')]
    refuse_other_version(int(written[2]), name, f'"{found}"', f'"{wanted}"')
    return []


def refuse_other_version(version: int, name: str, found: str, wanted: str) -> None:
    """Raise SchemaVersionError unless this is the version that is read here."""
    if version > SCHEMA_VERSION:
        text = f"found {found}, this dsd-plan reads {wanted}; upgrade dsd-plan"
    elif version < SCHEMA_VERSION:
        text = f"found {found}, this dsd-plan reads {wanted}; no converter from it exists yet: write the file again"
    else:
        return
    raise SchemaVersionError(name, [Problem("schema", text)])


def sound(
    name: str, shaped: Shaped[T], error: type[InputError], sense: Sense[T] | None, before: Iterable[Problem] = ()
) -> T:
    """The value, when neither `before` nor its shape nor its sense has a problem; else raise `error` with them all."""
    problems = [*before, *shaped.problems]
    if sense is not None and shaped.mended is not None:
        places = [problem.place for problem in problems if problem.place]
        problems += [
            problem
            for problem in sense(shaped.mended)
            if problem.place not in shaped.doubtful and not _inside(problem.place, places)
        ]
    if problems or shaped.value is None:
        raise error(name, listed(problems))
    return shaped.value


def _inside(place: str, places: list[str]) -> bool:
    """Whether something is already known to be wrong here, so that a second problem may only follow from it."""
    return any(place == known or place.startswith((f"{known}.", f"{known}[")) for known in places)
