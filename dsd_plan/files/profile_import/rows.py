"""Rows of a table as typed values; what is wrong with any of them is collected, never raised."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from dsd_plan.errors import Problem, ProfileError
from dsd_plan.files.reading import LARGEST_NUMBER, FileText, json_value, text_of
from dsd_plan.files.values import shown


@dataclass(slots=True)
class Row:
    """One row: values by column, and a name for messages. Getters give None for what is wrong, and note why."""

    place: str
    values: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def text(self, key: str) -> str | None:
        """Printable text."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self._wrong(key, value, "text")
            return None
        return value.strip()

    def whole(self, key: str, low: int = 0) -> int | None:
        """A whole number, `low` or more."""
        value = self.values.get(key)
        number = _number(value)
        if number is None or number != int(number) or number < low or number > LARGEST_NUMBER:
            self._wrong(key, value, f"a whole number, {low} or more")
            return None
        return int(number)

    def above_zero(self, key: str) -> float | None:
        """A number above 0."""
        value = self.values.get(key)
        number = _number(value)
        if number is None or number <= 0:
            self._wrong(key, value, "a number above 0")
            return None
        return number

    def not_negative(self, key: str) -> float | None:
        """A number, 0 or more."""
        value = self.values.get(key)
        number = _number(value)
        if number is None or number < 0:
            self._wrong(key, value, "a number, 0 or more")
            return None
        return number

    def _wrong(self, key: str, value: Any, expected: str) -> None:
        if value is None or value == "":
            found = "nothing there"
        else:
            # In a CSV file a number is a text too; its quotes would say otherwise.
            found = f"found {value if isinstance(value, str) and _number(value) is not None else shown(value)}"
        self.problems.append(Problem(self.place, f"{key}: {found}, expected {expected}"))


def csv_rows(file: FileText, columns: Sequence[str], name: str = "") -> list[Row]:
    """Rows of a CSV file that has at least `columns`. Raises ProfileError where it is no such table."""
    reader = csv.reader(io.StringIO(text_of(file, ProfileError), newline=""), strict=True)
    problems: list[Problem] = []
    rows: list[Row] = []
    try:
        header = [column.strip() for column in next(reader, [])]
        missing = [column for column in columns if column not in header]
        if missing:
            raise ProfileError(
                file.name,
                f"no column {', '.join(missing)} (found {', '.join(header)[:200]}); is this the table meant by --from?",
            )
        for values in reader:
            place = f"{name}: line {reader.line_num}" if name else f"line {reader.line_num}"
            if values and len(values) != len(header):
                problems.append(Problem(place, f"{len(values)} values under {len(header)} columns; half-written?"))
            elif values:
                rows.append(Row(place, dict(zip(header, values, strict=True))))
    except csv.Error as failure:
        raise ProfileError(file.name, f"line {reader.line_num}: not valid CSV: {failure}") from None
    if not rows and not problems:
        raise ProfileError(file.name, "has a header and no rows; was it written to the end?")
    if rows:
        rows[-1].problems.extend(problems)
    elif problems:
        raise ProfileError(file.name, problems)
    return rows


def json_rows(file: FileText, key: str | None = None) -> list[Row]:
    """Rows of a JSON list of tables, of such a list under `key`, or of JSON lines. Raises ProfileError."""
    text = text_of(file, ProfileError)
    listed = list(_tables(text, file.name, key))
    if not listed:
        raise ProfileError(file.name, "holds no rows; was it written to the end?")
    wrong = [
        Problem(place, f"found {shown(value)}, expected a table") for place, value in listed if not _is_table(value)
    ]
    if wrong:
        raise ProfileError(file.name, wrong)
    return [Row(place, value) for place, value in listed]


def all_problems(rows: Sequence[Row]) -> list[Problem]:
    """Everything noted in any of the rows, in their order."""
    return [problem for row in rows for problem in row.problems]


def _tables(text: str, name: str, key: str | None) -> Iterator[tuple[str, Any]]:
    stripped = text.lstrip()
    if stripped.startswith("[") or (key is not None and stripped.startswith("{") and f'"{key}"' in stripped):
        whole = json_value(text, name, ProfileError)
        if isinstance(whole, dict):
            whole = whole.get(key or "")
        if not isinstance(whole, list):
            raise ProfileError(name, f"expected a list of rows{f' under {key!r}' if key else ''}")
        yield from ((f"row {index}", value) for index, value in enumerate(whole, start=1))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"line {number}", json_value(line, f"{name}: line {number}", ProfileError)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)
