"""Tables of a replay, one row a request, round or stretch of time: written while it runs, in memory of one part."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.errors import InputError
from dsd_plan.files.writing import write_by

if TYPE_CHECKING:
    import polars as pl

Columns = Mapping[str, NDArray[Any]]

WRITERS = {".parquet": "sink_parquet", ".csv": "sink_csv", ".jsonl": "sink_ndjson", ".ndjson": "sink_ndjson"}


def check_table_path(path: str | Path) -> None:
    """Raises InputError where a table cannot be written by the ending of its name."""
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        raise InputError(str(path), f'ends in "{ending}", expected .parquet, .csv or .jsonl; choose another name')


class TableParts:
    """A table that grows in parts beside the file that it will be. Parts may come from several threads."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self._folder = folder
        self._parts: dict[int, list[Path]] = {}
        self._lock = Lock()

    def add(self, replication: int, columns: Columns) -> None:
        """Append rows to those of a replication."""
        with self._lock:
            parts = self._parts.setdefault(replication, [])
            parts.append(self._folder / f"{replication}-{len(parts)}.parquet")
        _frame(columns).write_parquet(parts[-1], compression="lz4")

    def finish(self, measured: Mapping[int, tuple[int, int]]) -> None:
        """Put the table at its path: the replications that `measured` names, in order.

        Its last column `measured` says whether a row's request is one of first … end − 1. Raises InputError.
        """
        import polars as pl

        frames = []
        for replication, (first, end) in sorted(measured.items()):
            frame = pl.scan_parquet(self._parts[replication], glob=False)
            frames.append(frame.with_columns(measured=pl.col("request").is_between(first, end, closed="left")))
        _write(self.path, pl.concat(frames))


@contextmanager
def table_parts(path: str | Path) -> Iterator[TableParts]:
    """A table to be written in parts; nothing is left of it unless it is finished. Raises InputError."""
    check_table_path(path)
    target = Path(path).resolve()
    folder = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.parts")
    try:
        folder.mkdir(parents=True)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise InputError(str(path), f"cannot be written: {reason}; choose another path") from None
    try:
        yield TableParts(Path(path), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_table(path: str | Path, parts: Sequence[Columns]) -> None:
    """Write the parts below each other as Parquet, CSV or JSONL. Raises InputError."""
    import polars as pl

    check_table_path(path)
    _write(Path(path), pl.concat([_frame(part) for part in parts]).lazy())


def _frame(columns: Columns) -> pl.DataFrame:
    """What is not there (NaN, a masked number, a text of nothing) is null in a file."""
    import polars as pl

    frame = pl.DataFrame({name: pl.Series(np.asarray(values)) for name, values in columns.items()})
    masks = {name: np.ma.getmaskarray(values) for name, values in columns.items() if np.ma.isMaskedArray(values)}
    return frame.with_columns(
        *(pl.when(pl.Series(~mask)).then(pl.col(name)).alias(name) for name, mask in masks.items()),
    ).with_columns(pl.selectors.float().fill_nan(None), pl.selectors.string().replace("", None))


def _write(path: Path, frame: pl.LazyFrame) -> None:
    write = WRITERS[path.suffix.lower()]
    write_by(path, lambda part: getattr(frame, write)(part))
