"""Tables from Parquet, CSV and JSONL: columns as arrays of the right type, or every column that is wrong."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.columns import WORDS, Column, ColumnKind
from dsd_plan.files.reading import LARGEST_NUMBER, FileText, json_value, text_of
from dsd_plan.files.values import shown

if TYPE_CHECKING:
    import polars as pl

Array = NDArray[Any]
PARQUET_MAGIC = b"PAR1"
LONGEST_TEXT = 200
"""Texts become arrays as wide as the longest of them."""


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """Columns as they are stored, each a list or a polars series, and the file's own metadata where it has any."""

    name: str
    columns: Mapping[str, Any]
    rows: int
    metadata: dict[str, str] | None


def open_table(file: FileText) -> RawTable:
    """Take a table apart by the ending of its name. Raises TraceError where it is not what it is called."""
    ending = file.path.suffix.lower()
    readers: dict[str, Callable[[FileText], RawTable]] = {
        ".parquet": _parquet,
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
    }
    if ending not in readers:
        raise TraceError(file.name, f'ends in "{ending}", expected .parquet, .csv or .jsonl; rename or convert it')
    table = readers[ending](file)
    if table.rows == 0:
        raise TraceError(file.name, "has no rows; record some")
    return table


def arrays_of(table: RawTable, wanted: Sequence[Column]) -> dict[str, Array]:
    """The wanted columns as arrays. Raises TraceError listing every column that is missing, unknown or wrong."""
    names = [column.name for column in wanted]
    problems = []
    for name in table.columns:
        if name not in names:
            near = difflib.get_close_matches(name.lower(), [n for n in names if n not in table.columns], n=1)
            advice = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(names)}; drop it"
            problems.append(Problem(f'column "{name}"', f"unknown; {advice}"))
    arrays: dict[str, Array] = {}
    for column in wanted:
        place = f'column "{column.name}"'
        if column.name not in table.columns:
            if column.required:
                problems.append(Problem(place, f"missing; expected {column.expected} in every row"))
            continue
        found = _array(table.columns[column.name], column)
        problem = found if isinstance(found, str) else _range_problem(found, column)
        if problem:
            problems.append(Problem(place, problem))
        elif not isinstance(found, str):
            arrays[column.name] = found
            later = column.not_yet
            if later is not None and not later.works(found):
                problems.append(Problem(place, f"not supported yet: {later.does}; {later.instead}"))
    if problems:
        raise TraceError(table.name, problems)
    return arrays


def parquet_bytes(columns: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A Parquet file with these columns and this metadata."""
    import polars as pl

    out = io.BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(out, metadata=dict(metadata))
    return out.getvalue()


def _parquet(file: FileText) -> RawTable:
    import polars as pl

    if file.data[:4] != PARQUET_MAGIC:
        raise TraceError(file.name, "is not a Parquet file; write it again")
    if file.data[-4:] != PARQUET_MAGIC:
        raise TraceError(file.name, "the Parquet file ends too early; half-written? write it again")
    try:
        frame = pl.read_parquet(io.BytesIO(file.data))
        metadata = pl.read_parquet_metadata(io.BytesIO(file.data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as failure:
        reason = str(failure).splitlines()[0][:120] if str(failure) else type(failure).__name__
        raise TraceError(file.name, f"the Parquet file is damaged ({reason}); write it again") from None
    return RawTable(file.name, {name: frame[name] for name in frame.columns}, frame.height, metadata)


def _csv(file: FileText) -> RawTable:
    reader = csv.reader(io.StringIO(text_of(file, TraceError), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(header) == 1 and ";" in header[0]:
            raise TraceError(
                file.name, "line 1: one column; is it separated by ;? separate by commas, and write 1.5 instead of 1,5"
            )
        rows: list[list[str]] = []
        for row in reader:
            if len(row) != len(header) and row:
                raise TraceError(
                    file.name, f"line {reader.line_num}: {len(row)} values under {len(header)} columns; half-written?"
                )
            if row:
                rows.append(row)
    except csv.Error as failure:
        raise TraceError(file.name, f"line {reader.line_num}: not valid CSV: {failure}") from None
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise TraceError(file.name, f'line 1: the column "{twice[0]}" is there twice; keep one')
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return RawTable(file.name, dict(zip(header, map(list, columns), strict=True)), len(rows), None)


def _jsonl(file: FileText) -> RawTable:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text_of(file, TraceError).split("\n"), start=1):
        if not line.strip():
            continue
        row = json_value(line, f"{file.name}: line {number}", TraceError)
        if not isinstance(row, dict):
            raise TraceError(file.name, f'line {number}: expected a JSON table such as {{"column": 1}}')
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return RawTable(file.name, {name: [row.get(name) for row in rows] for name in names}, len(rows), None)


def _array(values: Any, column: Column) -> Array | str:
    """The column as an array of its type, or what is wrong with it."""
    if isinstance(values, list):
        return _from_values(values, column)
    return _from_series(values, column)


def _from_series(series: pl.Series, column: Column) -> Array | str:
    import polars as pl

    if series.null_count():
        return _hole(int(series.is_null().arg_max() or 0), series.null_count(), column)
    kind = series.dtype
    fits = {
        "whole": kind.is_integer(),
        "number": kind.is_numeric() and not kind.is_decimal(),
        "flag": kind.is_integer() or kind == pl.Boolean,
        "text": kind in (pl.String, pl.Categorical, pl.Enum),
        "id": kind.is_integer() or kind == pl.String,
    }
    if not fits[column.kind]:
        return f"is stored as {kind}, expected {column.expected}; convert the column"
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return _texts(series.cast(pl.String).to_list(), column)
    if kind.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        outside = whole.is_null() | ~whole.is_between(-LARGEST_NUMBER, LARGEST_NUMBER).fill_null(value=False)
        if outside.any():
            row = int(outside.arg_max() or 0)
            return _wrong(row, str(series[row]), column)
        return whole.to_numpy().astype(np.float64 if column.kind == "number" else np.int64)
    return series.to_numpy().astype(np.int64 if column.kind == "flag" else np.float64)


def _from_values(values: list[Any], column: Column) -> Array | str:
    """From JSON values, or from the texts of a CSV file."""
    holes = [row for row, value in enumerate(values) if value is None or value == ""]
    if holes:
        return _hole(holes[0], len(holes), column)
    if column.kind == "id":
        whole = _from_values(values, Column(column.name, "whole", column.meaning))
        return _texts([str(value) for value in values], column) if isinstance(whole, str) else whole
    parsed = []
    for row, value in enumerate(values):
        one = _parsed(value, column.kind)
        if one is None:
            return _wrong(row, shown(value), column)
        parsed.append(one)
    if column.kind == "text":
        return _texts(parsed, column)
    return np.array(parsed, dtype=np.float64 if column.kind == "number" else np.int64)


def _parsed(value: Any, kind: ColumnKind) -> Any:
    """One value of a column; None where it is none."""
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "flag":
        return {"0": 0, "1": 1, "false": 0, "true": 1}.get(str(value).strip().lower())
    if isinstance(value, str):
        try:
            value = int(value) if kind == "whole" else float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int if kind == "whole" else int | float):
        return None
    return value if abs(value) <= LARGEST_NUMBER or value != value else None


def _texts(values: list[str], column: Column) -> Array | str:
    for row, value in enumerate(values):
        if not value or len(value) > LONGEST_TEXT or not value.isprintable():
            return (
                f"row {row + 1}: found {ascii(value)[:60]}, expected printable text of 1 to {LONGEST_TEXT} characters"
            )
    return np.array(values, dtype=np.str_)


def _range_problem(values: Array, column: Column) -> str:
    if values.dtype.kind not in "iuf":
        return ""
    bad = ~np.isfinite(values)
    if column.low is not None:
        bad |= values < column.low
    if column.high is not None:
        bad |= values > column.high
    if not bad.any():
        return ""
    row = int(np.argmax(bad))
    return _wrong(row, f"{values[row]:g}", column, int(np.count_nonzero(bad)))


def _wrong(row: int, found: str, column: Column, count: int = 1) -> str:
    more = f" (and {count - 1} more {'row' if count == 2 else 'rows'} like it)" if count > 1 else ""
    return f"row {row + 1}: found {found}, expected {column.expected}{more}; correct it"


def _hole(row: int, count: int, column: Column) -> str:
    drop = "fill it" if column.required else "fill it, or drop the column"
    return f"row {row + 1}: nothing there ({count} such rows), expected {WORDS[column.kind]}; {drop}"
