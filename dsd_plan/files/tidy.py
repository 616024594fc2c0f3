"""Flat tables as a folder of CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsd_plan.errors import InputError, Problem
from dsd_plan.files.writing import write_whole


def write_tidy(folder: str | Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """A CSV file a table, named by it; other files of the folder stay. UTF-8; a cell without content is not known.

    Raises InputError where the folder is a file, or cannot be written.
    """
    where = Path(folder)
    if where.exists() and not where.is_dir():
        text = "is a file; tables go into a folder, name one that is new or holds tables already"
        raise InputError(str(folder), [Problem("", text)])
    for name, rows in tables.items():
        write_whole(where / f"{name}.csv", csv_text(rows).encode("utf-8"))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the columns of the first; truths as in JSON, numbers to their last digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(rows[0]) if rows else []
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return text.getvalue()


def _cell(value: Any) -> Any:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value
