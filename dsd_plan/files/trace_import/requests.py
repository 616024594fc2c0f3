"""What all workload traces share: from a source's columns to ours, checked in one pass, however long the file.

Frames are lazy: nothing but the sums of the check is in memory until the trace is written.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.reading import LARGEST_NUMBER
from dsd_plan.files.trace_import.source import Imported, documents

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

REQUIRED = ("arrival_s", "prompt_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One of our columns, from one of the source's."""

    source: str
    value: pl.Expr | None = None
    """What is made of it; None: its number as it is."""


OWN = {name: Taken(name) for name in REQUIRED}


def scan(path: Path, wanted: Sequence[str], kind: str) -> pl.LazyFrame:
    """A CSV, JSONL or Parquet file as a lazy frame that has the wanted columns, of CSV and JSONL as texts.

    Texts, because a type inferred from the first rows would stop at, or round, what comes later.
    Raises TraceError where it cannot be read, or has other columns: most likely a wrong `--from`.
    """
    import polars as pl

    if path.is_dir():
        raise TraceError(str(path), "is a folder, expected a file; name a file in it")
    if not path.is_file():
        raise TraceError(str(path), "no such file; correct the path")
    if path.stat().st_size == 0:
        raise TraceError(str(path), "is empty; was it written to the end?")
    readers: dict[str, Callable[[Path, dict[str, Any]], pl.LazyFrame]] = {
        ".csv": lambda at, types: pl.scan_csv(at, infer_schema_length=1000, schema_overrides=types),
        ".jsonl": lambda at, types: pl.scan_ndjson(at, infer_schema_length=1000, schema_overrides=types),
        ".ndjson": lambda at, types: pl.scan_ndjson(at, infer_schema_length=1000, schema_overrides=types),
        ".parquet": lambda at, types: pl.scan_parquet(at),
    }
    ending = path.suffix.lower()
    if ending not in readers:
        raise TraceError(str(path), f'ends in "{ending}", expected .csv, .jsonl or .parquet; rename or convert it')

    def opened() -> pl.LazyFrame:
        found = readers[ending](path, {}).collect_schema().names()
        stripped = {name: name.strip().strip("\ufeff") for name in found}
        missing = [name for name in wanted if name not in stripped.values()]
        if missing:
            raise TraceError(
                str(path),
                f"has no column {', '.join(missing)} (found {', '.join(found)[:200]}); is --from {kind} right?",
            )
        texts = {name: pl.String() for name in found if stripped[name] in wanted}
        frame = readers[ending](path, texts).rename({old: new for old, new in stripped.items() if old != new})
        types = frame.collect_schema()
        return frame.with_columns(pl.col(name).str.strip_chars() for name in wanted if types[name] == pl.String)

    return guarded(path, opened)


def guarded(path: Path, action: Callable[[], T]) -> T:
    """`action`, with what polars says against the file as one TraceError that names the line."""
    import polars as pl

    try:
        return action()
    except (pl.exceptions.PolarsError, OSError) as failure:
        name_bad_line(path)
        reason = str(failure).splitlines()[0][:160] if str(failure) else type(failure).__name__
        raise TraceError(str(path), f"cannot be read to its end: {reason}; half-written, or of another kind?") from None


def name_bad_line(path: Path) -> None:
    """Raise TraceError for the first line that is no JSON, or has more or fewer values than a CSV's header."""
    if not path.is_file():
        return
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for place, value in documents(path):
            if not isinstance(value, dict):
                raise TraceError(str(path), f'{place}: expected a JSON table such as {{"column": 1}}')
    elif path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8", errors="replace", newline="") as opened:
            rows = csv.reader(opened)
            header = next(rows, [])
            for row in rows:
                if row and len(row) != len(header):
                    text = f"line {rows.line_num}: {len(row)} values under {len(header)} columns; half-written?"
                    raise TraceError(str(path), text)


def number_of(column: str) -> pl.Expr:
    """The column's numbers; null where there is none."""
    import polars as pl

    return pl.col(column).cast(pl.Float64, strict=False)


def nanoseconds_of(column: str) -> pl.Expr:
    """Whole nanoseconds since 1970 of texts such as `2023-11-16 18:17:03.9799600` or `… 18:17:03.979960+00:00`.

    Fractions may have any number of digits: .NET writes seven, more than a parser of microseconds takes.
    """
    import polars as pl

    text = pl.col(column).cast(pl.String).str.strip_suffix("Z").str.strip_suffix("+00:00")
    # Parts of a fixed form are cut out by their place: three times as fast as parsing a date.
    days = text.str.head(10).str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    hours, minutes = (text.str.slice(place, 2).cast(pl.Int64, strict=False) for place in (11, 14))
    seconds = text.str.slice(17).cast(pl.Float64, strict=False)
    whole = (days * 1440 + hours * 60 + minutes) * 60_000_000_000
    return whole + (seconds * 1e9).round().cast(pl.Int64, strict=False)


def imported_requests(
    path: Path,
    frame: pl.LazyFrame,
    taken: Mapping[str, Taken] = OWN,
    *,
    further: Sequence[str] = (),
    notes: Sequence[str] = (),
    ticks_per_s: float = 1.0,
) -> Imported:
    """Check, shift to a start at 0, drop failures, order. `taken` tells REQUIRED, `further` names columns of ours.

    `arrival_s` may come in ticks, whole ones, which keep digits that seconds since 1970 would lose.

    Raises TraceError for holes and for lengths that are no whole numbers, with the row and column of the first.
    """
    import polars as pl

    frame = frame.select(
        *((number_of(own.source) if own.value is None else own.value).alias(name) for name, own in taken.items()),
        *further,
        *(pl.col(own.source).cast(pl.String, strict=False).alias(f"{name}:text") for name, own in taken.items()),
    )
    number = pl.int_range(pl.len())
    sums = [pl.len().alias("rows"), pl.col("arrival_s").min().alias("first_s")]
    for name in REQUIRED:
        wrong = _wrong(name)
        sums += [wrong.sum().alias(f"{name}:count"), number.filter(wrong).first().alias(f"{name}:row")]
        sums.append(pl.col(f"{name}:text").filter(wrong).first().alias(f"{name}:found"))
    failed = (pl.col("output_tokens") == 0).fill_null(value=False)
    empty = (pl.col("prompt_tokens") == 0).fill_null(value=False) & ~failed
    sums += [failed.sum().alias("failed"), empty.sum().alias("empty")]
    sums.append((pl.col("arrival_s").diff() < 0).sum().alias("unordered"))
    told = guarded(path, lambda: frame.select(sums).collect(engine="streaming")).row(0, named=True)
    if told["rows"] == 0:
        raise TraceError(str(path), "has no rows; is it the right file?")
    problems = [_problem(name, taken[name].source, told) for name in REQUIRED if told[f"{name}:count"]]
    if problems:
        raise TraceError(str(path), problems)
    said = list(notes)
    if told["failed"]:
        of = f"of {requests(told['rows'])} {have(told['failed'])} no output (failures)"
        said.append(f"{told['failed']:,} {of} and {is_or_are(told['failed'])} left out")
    if told["empty"]:
        text = f"{requests(told['empty'])} {have(told['empty'])} an empty prompt"
        said.append(f"{text} and {is_or_are(told['empty'])} left out")
    kept = frame.filter((pl.col("output_tokens") > 0) & (pl.col("prompt_tokens") > 0))
    if told["failed"] + told["empty"] == told["rows"]:
        raise TraceError(str(path), "no request has both a prompt and an output")
    if told["unordered"]:
        which = "1 arrival comes" if told["unordered"] == 1 else f"{told['unordered']:,} arrivals come"
        said.append(f"{which} before the one above; the requests are sorted")
        kept = kept.sort("arrival_s", maintain_order=True)
    first_s = told["first_s"]
    kept = kept.select(
        (pl.col("arrival_s") - first_s).cast(pl.Float64) / ticks_per_s,
        pl.col("prompt_tokens").cast(pl.Int64),
        pl.col("output_tokens").cast(pl.Int64),
        *further,
    )
    return Imported(kept, tuple(said))


def _wrong(name: str) -> pl.Expr:
    """Where a column of ours holds nothing, or no finite time, or no whole number from 0 on."""
    import polars as pl

    value = pl.col(name)
    if name == "arrival_s":
        return value.is_null() | ~value.is_finite().fill_null(value=False)
    whole = value.is_finite() & (value == value.floor()) & (value >= 0) & (value <= LARGEST_NUMBER)
    return ~whole.fill_null(value=False)


def _problem(name: str, source: str, told: dict[str, Any]) -> Problem:
    count, found = told[f"{name}:count"], told[f"{name}:found"]
    more = f" (and {count - 1:,} more {'row' if count == 2 else 'rows'} like it)" if count > 1 else ""
    expected = "a time" if name == "arrival_s" else "a whole number, 0 or more"
    text = f"found {found[:60] if found else 'nothing'}, expected {expected}{more}; correct it"
    return Problem(f'column "{source}", row {told[f"{name}:row"] + 1}', text)


def requests(count: int) -> str:
    """So many requests, in words."""
    return "1 request" if count == 1 else f"{count:,} requests"


def have(count: int) -> str:
    """The verb to a count."""
    return "has" if count == 1 else "have"


def is_or_are(count: int) -> str:
    """The verb to a count."""
    return "is" if count == 1 else "are"
