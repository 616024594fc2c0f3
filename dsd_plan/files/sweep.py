"""Tables of a sweep: written whole while they grow, and read again by a run that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsd_plan.domain.sweep import Value
from dsd_plan.errors import InputError
from dsd_plan.files.replayed import WRITERS, check_table_path
from dsd_plan.files.writing import write_by

if TYPE_CHECKING:
    import polars as pl

HASH = "point_hash"
READERS = {".parquet": "read_parquet", ".csv": "read_csv", ".jsonl": "read_ndjson", ".ndjson": "read_ndjson"}

Row = dict[str, Any]


def known_points(path: str | Path, wanted: frozenset[str]) -> dict[str, list[Row]]:
    """The rows that an earlier run left at `path`, by their hash, of the points that are `wanted`.

    Raises InputError where something else is there: it would be overwritten.
    """
    check_table_path(path)
    if not Path(path).exists():
        return {}
    frame = _read(Path(path))
    found: dict[str, list[Row]] = {}
    for row in frame.iter_rows(named=True):
        if row[HASH] in wanted:
            found.setdefault(row[HASH], []).append(row)
    return found


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    other = InputError(
        str(path), "is there already and is no table of a sweep; nothing is overwritten, choose a new name"
    )
    ending = path.suffix.lower()
    options = {"infer_schema_length": None} if ending != ".parquet" else {}
    try:
        frame: pl.DataFrame = getattr(pl, READERS[ending])(path, **options)
    except (pl.exceptions.PolarsError, OSError) as failure:
        raise other from failure
    if HASH not in frame.columns:
        raise other
    return frame


def write_sweep(
    path: str | Path,
    rows: Sequence[Mapping[str, Any]],
    axes: Sequence[tuple[str, Sequence[Value]]],
    columns: Mapping[str, type],
) -> None:
    """Put the rows at `path`: a column for each key, then `columns`. Raises InputError where it cannot be written."""
    import polars as pl

    check_table_path(path)
    kinds: dict[type, Any] = {int: pl.Int64, float: pl.Float64, str: pl.String, bool: pl.Boolean}
    schema: dict[str, Any] = {key: kinds[_kind(values)] for key, values in axes}
    schema |= {name: kinds[kind] for name, kind in columns.items()}
    texts = {key for key, values in axes if _kind(values) is str}
    filled = [{name: str(row[name]) if name in texts else row[name] for name in schema} for row in rows]
    frame = pl.DataFrame(filled, schema=schema, strict=False).lazy()
    write_by(path, lambda part: getattr(frame, WRITERS[Path(path).suffix.lower()])(part))


def _kind(values: Sequence[Value]) -> type:
    """The narrowest type that holds all values of a key."""
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        return next(iter(kinds))
    return float if kinds <= {int, float} else str
