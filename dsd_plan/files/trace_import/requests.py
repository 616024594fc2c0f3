"""What all workload traces share: from a source's columns to ours, checked in one pass, however long the file.

Frames are lazy: nothing but the sums of the check is in memory until the trace is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.trace_import.source import Imported

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

REQUIRED = ("arrival_s", "prompt_tokens", "output_tokens")


def scan(path: Path, wanted: Sequence[str], kind: str) -> pl.LazyFrame:
    """A CSV, JSONL or Parquet file as a lazy frame that has the wanted columns.

    Raises TraceError where it cannot be read, or has other columns: most likely a wrong `--from`.
    """
    import polars as pl

    if not path.is_file():
        raise TraceError(str(path), "no such file; correct the path")
    if path.stat().st_size == 0:
        raise TraceError(str(path), "is empty; was it written to the end?")
    readers: dict[str, Callable[..., pl.LazyFrame]] = {
        ".csv": lambda at: pl.scan_csv(at, infer_schema_length=1000, truncate_ragged_lines=False),
        ".jsonl": lambda at: pl.scan_ndjson(at, infer_schema_length=1000),
        ".ndjson": lambda at: pl.scan_ndjson(at, infer_schema_length=1000),
        ".parquet": pl.scan_parquet,
    }
    ending = path.suffix.lower()
    if ending not in readers:
        raise TraceError(str(path), f'ends in "{ending}", expected .csv, .jsonl or .parquet; rename or convert it')

    def opened() -> pl.LazyFrame:
        frame = readers[ending](path)
        found = frame.collect_schema().names()
        stripped = {name: name.strip().strip("\ufeff") for name in found}
        missing = [name for name in wanted if name not in stripped.values()]
        if missing:
            raise TraceError(
                str(path),
                f"has no column {', '.join(missing)} (found {', '.join(found)[:200]}); is --from {kind} right?",
            )
        return frame.rename({old: new for old, new in stripped.items() if old != new})

    return guarded(path, opened)


def guarded(path: Path, action: Callable[[], T]) -> T:
    """`action`, with what polars says against the file as one TraceError."""
    import polars as pl

    try:
        return action()
    except (pl.exceptions.PolarsError, OSError) as failure:
        reason = str(failure).splitlines()[0][:160] if str(failure) else type(failure).__name__
        raise TraceError(str(path), f"cannot be read to its end: {reason}; half-written, or of another kind?") from None


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
    path: Path, frame: pl.LazyFrame, notes: Sequence[str] = (), *, ticks_per_s: float = 1.0
) -> Imported:
    """Check, shift to a start at 0, drop failures, order. `frame` holds REQUIRED and any further columns of ours.

    `arrival_s` may come in ticks, whole ones, which keep digits that seconds since 1970 would lose.

    Raises TraceError for holes and negative lengths, saying where the first is.
    """
    import polars as pl

    number = pl.int_range(pl.len())
    bad = {
        name: pl.col(name).is_null() | (~pl.col(name).is_finite() if name == "arrival_s" else pl.col(name) < 0)
        for name in REQUIRED
    }
    sums = [pl.len().alias("rows"), pl.col("arrival_s").min().alias("first_s")]
    for name, wrong in bad.items():
        sums += [wrong.sum().alias(f"{name}:count"), number.filter(wrong).first().alias(f"{name}:row")]
        sums.append(pl.col(name).filter(wrong).first().alias(f"{name}:found"))
    failed = (pl.col("output_tokens") == 0).fill_null(value=False)
    empty = (pl.col("prompt_tokens") == 0).fill_null(value=False) & ~failed
    sums += [failed.sum().alias("failed"), empty.sum().alias("empty")]
    sums.append((pl.col("arrival_s").diff() < 0).sum().alias("unordered"))
    told = guarded(path, lambda: frame.select(sums).collect(engine="streaming")).row(0, named=True)
    if told["rows"] == 0:
        raise TraceError(str(path), "has no rows; is it the right file?")
    problems = [
        Problem(
            name,
            f"row {told[f'{name}:row'] + 1}: found {told[f'{name}:found']} ({told[f'{name}:count']:,} such rows), "
            "expected a " + ("time" if name == "arrival_s" else "whole number, 0 or more"),
        )
        for name in REQUIRED
        if told[f"{name}:count"]
    ]
    if problems:
        raise TraceError(str(path), problems)
    said = list(notes)
    if told["failed"]:
        said.append(f"{told['failed']:,} of {told['rows']:,} requests have no output (failures) and are left out")
    if told["empty"]:
        said.append(f"{told['empty']:,} requests have an empty prompt and are left out")
    kept = frame.filter((pl.col("output_tokens") > 0) & (pl.col("prompt_tokens") > 0))
    if told["failed"] + told["empty"] == told["rows"]:
        raise TraceError(str(path), "no request has both a prompt and an output")
    if told["unordered"]:
        said.append(f"{told['unordered']:,} arrivals come before the one above them; the requests are sorted")
        kept = kept.sort("arrival_s", maintain_order=True)
    first_s = told["first_s"]
    kept = kept.with_columns(
        (pl.col("arrival_s") - first_s).cast(pl.Float64) / ticks_per_s,
        pl.col("prompt_tokens").cast(pl.Int64),
        pl.col("output_tokens").cast(pl.Int64),
    )
    return Imported(kept, tuple(said))
