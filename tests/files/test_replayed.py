"""Tables written in parts: what is in them, in which order, and that nothing half-made stays behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dsd_plan.errors import InputError
from dsd_plan.files import check_table_path, table_parts, write_table


def columns(*requests: int) -> dict[str, np.ndarray]:
    numbers = np.array(requests)
    return {
        "request": numbers,
        "name": np.array(["" if number % 2 else "even" for number in requests]),
        "tpot_ms": np.where(numbers == 1, np.nan, numbers / 2.0),
        "device": np.ma.masked_equal(numbers, 2),
    }


def read(path: Path) -> pl.DataFrame:
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
    return readers[path.suffix](path)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_parts_become_one_table_in_the_order_of_replications(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"table.{ending}"
    with table_parts(path) as parts:
        for replication, *requests in ((1, 0, 1), (0, 0, 1), (0, 2), (7, 5)):
            parts.add(replication, columns(*requests))
        parts.finish({0: (1, 2), 1: (0, 9)})
    table = read(path)
    assert table["request"].to_list() == [0, 1, 2, 0, 1]
    assert table["measured"].to_list() == [False, True, False, True, True]
    assert table["tpot_ms"].to_list() == [0.0, None, 1.0, 0.0, None]
    assert table["device"].to_list() == [0, 1, None, 0, 1]
    assert table["name"].to_list() == ["even", None, "even", "even", None]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with table_parts(tmp_path / "t.csv") as parts:
        parts.add(0, columns(1))
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_table_as_a_whole(tmp_path: Path) -> None:
    write_table(tmp_path / "t.jsonl", [columns(4), columns(1)])
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert lines[0] == {"request": 4, "name": "even", "tpot_ms": 2.0, "device": 4}
    assert lines[1] == {"request": 1, "name": None, "tpot_ms": None, "device": 1}


def test_names_that_cannot_be_written_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'ends in ".xlsx", expected .parquet, .csv or .jsonl'):
        check_table_path("requests.xlsx")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), table_parts(tmp_path / "file" / "t.csv"):
        raise AssertionError
