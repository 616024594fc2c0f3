"""From a path to checked text: whatever can be wrong with a file before its keys are looked at."""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsd_plan.errors import InputError, Problem

DEEPEST_NESTING = 40
"""Schema 1 nests eight levels at most; a limit keeps a hostile file from exhausting the stack."""

LARGEST_NUMBER = 2**53
"""Above this, whole numbers and floats part ways."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which a terminal would obey, and halves of surrogate pairs, which UTF-8 cannot hold."""


@dataclass(frozen=True, slots=True)
class FileText:
    """The bytes of one file, its path, and the name that messages and studies call it by."""

    path: Path
    name: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Hash of the bytes that were read, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def read_file(path: str | Path, error: type[InputError], name: str | None = None) -> FileText:
    """Read a regular, non-empty file. Raises `error` for anything that stands in the way."""
    shown = str(path) if name is None else name
    try:
        at = Path(path)
        mode = at.stat().st_mode
        if stat.S_ISDIR(mode):
            raise error(shown, "is a folder, expected a file; name a file in it")
        if not stat.S_ISREG(mode):
            raise error(shown, "is a pipe or a device, expected a file; save it as a file first")
        data = at.read_bytes()
    except FileNotFoundError:
        raise error(shown, f"no such file ({_absolute(path)}); correct the path or make the file") from None
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        raise error(shown, f"cannot be read: {reason.lower()}") from None
    if not data.strip():
        raise error(shown, "is empty; was it written to the end? write it again")
    return FileText(at, shown, data)


def text_of(file: FileText, error: type[InputError]) -> str:
    """The file as UTF-8 text, without a byte order mark. Raises `error` saying where it is not text."""
    if file.data[:4] == b"PAR1":
        raise error(
            file.name, "is a Parquet table, expected JSON or TOML text; is it a trace? `dsd-plan trace describe`"
        )
    if file.data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise error(file.name, "is UTF-16 text, expected UTF-8; save it as UTF-8")
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = file.data.count(b"\n", 0, failure.start) + 1
        raise error(
            file.name, f"is not UTF-8 text (line {line}, byte {failure.start}); is it binary? save it as UTF-8 text"
        ) from None
    if "\0" in text:
        raise error(
            file.name, f"holds a zero byte (line {text.count(chr(10), 0, text.index(chr(0))) + 1}); is it binary?"
        )
    return text


def toml_of(file: FileText, error: type[InputError]) -> dict[str, Any]:
    """The file as a TOML table. Raises `error` with line and column of a mistake."""
    text = text_of(file, error)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise error(file.name, f"not valid TOML: {_toml_reason(str(failure), text)}") from None
    except (ValueError, RecursionError) as failure:
        raise error(file.name, f"not usable TOML: {_too_much(failure)}") from None
    _refuse_depth(raw, file.name, error)
    return raw


def json_of(file: FileText, error: type[InputError]) -> dict[str, Any]:
    """The file as a JSON table. Raises `error` with line and column of a mistake."""
    raw = json_value(text_of(file, error), file.name, error)
    if not isinstance(raw, dict):
        raise error(file.name, 'expected a JSON table ({"schema": …}) at the top')
    return raw


def json_value(text: str, name: str, error: type[InputError]) -> Any:
    """Any JSON value, keys unique. Raises `error`, naming `name`, with line and column of a mistake."""
    try:
        raw = json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as failure:
        line = f"line {failure.lineno}" if "\n" in text.strip() else ""
        if failure.pos >= len(text.rstrip()) or failure.msg.startswith("Unterminated string"):
            raise error(name, f"ends too early{f' ({line})' if line else ''}; half-written? write it again") from None
        where = f"{line}, column {failure.colno}" if line else f"column {failure.colno}"
        raise error(name, f"not valid JSON: {failure.msg.lower()} ({where})") from None
    except (ValueError, RecursionError) as failure:
        raise error(name, f"not usable JSON: {_too_much(failure)}") from None
    _refuse_depth(raw, name, error)
    return raw


def unusable_values(raw: Any) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Place, value and reason of numbers and texts that nothing can compute with or write down again."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), raw)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            yield from ((place, "a key", reason) for key in value if (reason := unprintable(key)))
            waiting += [((*place, key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [((*place, index), item) for index, item in reversed(list(enumerate(value)))]
        elif isinstance(value, float) and not math.isfinite(value):
            yield place, str(value), "expected a finite number; leave the key out if it is not known"
        elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            yield place, "a number above 2^53", "expected a smaller one; check its unit"
        elif isinstance(value, str) and (reason := unprintable(value)):
            yield place, "text", reason


def unprintable(text: str) -> str:
    """Why a text cannot be shown in a terminal and written as UTF-8; empty where it can."""
    letter = _UNPRINTABLE.search(text)
    return "" if letter is None else f"with the character U+{ord(letter[0]):04X} in it, expected printable text"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _RepeatedKeyError(f'the key "{twice[:60]}" is written twice in one table; keep one')
    return made


class _RepeatedKeyError(ValueError):
    pass


def _too_much(failure: Exception) -> str:
    if isinstance(failure, RecursionError):
        return "nested too deeply"
    if isinstance(failure, _RepeatedKeyError):
        return str(failure)
    # Python refuses to read a whole number of more than 4,300 digits; other values cannot fail here.
    return "it holds a number too large to read"


def _toml_reason(message: str, text: str) -> str:
    """tomllib's message with the place first; a mistake at the very end gets a line too."""
    place = re.search(r" \(at (line \d+, column \d+|end of document)\)$", message)
    reason = message[: place.start()] if place else message
    if place is None or place[1] == "end of document":
        return f"line {text.count(chr(10)) + 1}, at the end of the file: {_lower_first(reason)}; half-written?"
    return f"{place[1]}: {_lower_first(reason)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refuse_depth(raw: Any, name: str, error: type[InputError]) -> None:
    level, depth = [raw], 0
    while level:
        depth += 1
        if depth > DEEPEST_NESTING:
            raise error(name, [Problem("", f"nested more than {DEEPEST_NESTING} levels deep; schema 1 needs eight")])
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]


def _absolute(path: str | Path) -> str:
    try:
        return str(Path(path).absolute())
    except (OSError, ValueError):
        return str(path)
