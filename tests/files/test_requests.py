"""Workload traces and link traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dsd_plan.errors import TraceError
from dsd_plan.files import load_requests, load_rtt_trace, write_requests
from tests.domain.clinic import REQUESTS

ROWS: dict[str, list[Any]] = {"arrival_s": [4.0, 0.0, 1], "prompt_tokens": [3, 1, 2], "output_tokens": [30, 10, 20]}


def csv(folder: Path, rows: dict[str, list[Any]]) -> Path:
    path = folder / "trace.csv"
    pl.DataFrame(rows, strict=False).write_csv(path)
    return path


def parquet(folder: Path, rows: dict[str, list[Any]]) -> Path:
    path = folder / "trace.parquet"
    pl.DataFrame(rows, strict=False).write_parquet(path)
    return path


def jsonl(folder: Path, rows: dict[str, list[Any]]) -> Path:
    path = folder / "trace.jsonl"
    pl.DataFrame(rows, strict=False).write_ndjson(path)
    return path


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "chat.parquet"
    write_requests(path, REQUESTS)
    found = load_requests(path)
    for name in ("arrival_s", "prompt_tokens", "output_tokens"):
        np.testing.assert_array_equal(getattr(found, name), getattr(REQUESTS, name))
    assert found.arrival_s.dtype == np.float64
    assert found.output_tokens.dtype == np.int64
    with pytest.raises(TraceError, match=r"let the name end in \.parquet"):
        write_requests(tmp_path / "chat.json", REQUESTS)


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
def test_every_format_gives_the_same_requests_by_arrival(tmp_path: Path, write: Any) -> None:
    found = load_requests(write(tmp_path, ROWS | {"user": ["u", "v", "w"], "turn": [0, 0, 1]}))
    assert found.arrival_s.tolist() == [0.0, 1.0, 4.0]
    assert found.prompt_tokens.tolist() == [1, 2, 3]
    assert found.output_tokens.tolist() == [10, 20, 30]
    assert found.rate_per_s == 0.5


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arrival_s": [0.0, -1.0, 2.0]}, "row 2: found -1, expected a number, 0 or more"),
        ({"prompt_tokens": [1, 0, 2]}, 'column "prompt_tokens": row 2: found 0'),
        ({"output_tokens": [1, None, 2]}, 'column "output_tokens": row 2: nothing there'),
        ({"output_token": [1, 1, 2]}, "unknown; known here: arrival_s"),
        (
            {"request_id": ["p", "q", "p"]},
            'column "request_id": found p in 2 rows (1 such names), expected each in one',
        ),
        ({"request_id": [7, 7, 7]}, 'column "request_id": found 7 in 3 rows'),
        ({"task": ["a", "b", "a"]}, "not supported yet: requests of several tasks"),
        ({"cached_prefix_tokens": [0, 1, 0]}, "row 2: found 1, expected less than its 1 prompt tokens"),
    ],
)
def test_wrong_requests_are_explained(tmp_path: Path, write: Any, changes: dict[str, list[Any]], says: str) -> None:
    with pytest.raises(TraceError) as caught:
        load_requests(write(tmp_path, ROWS | changes))
    assert says in str(caught.value)


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
def test_what_changes_nothing_passes(tmp_path: Path, write: Any) -> None:
    same = {"workload": ["a"] * 3, "task": ["x"] * 3, "cached_prefix_tokens": [0] * 3, "request_id": ["p", "q", "r"]}
    assert load_requests(write(tmp_path, ROWS | same)).arrival_s.size == 3


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
def test_the_further_columns_come_along(tmp_path: Path, write: Any) -> None:
    more = {"workload": ["a", "b", "a"], "cached_prefix_tokens": [2, 0, 1], "user": ["x", "y", "x"], "turn": [1, 0, 0]}
    found = load_requests(write(tmp_path, ROWS | more))
    assert found.cached_prefix_tokens is not None
    assert found.cached_prefix_tokens.tolist() == [0, 1, 2]
    assert found.prefill_tokens.tolist() == [1, 1, 1]
    assert found.user is not None
    assert found.user.tolist() == ["y", "x", "x"]
    again = tmp_path / "again.parquet"
    write_requests(again, found)
    assert load_requests(again).turn.tolist() == [0, 0, 1]  # type: ignore[union-attr]
    assert found.of_workload("a").arrival_s.tolist() == [1.0, 4.0]
    with pytest.raises(KeyError, match="no rows of workload 'c'"):
        found.of_workload("c")
    with pytest.raises(KeyError, match=r"no rows of workload 'b'; the trace has \['a'\]"):
        found.of_workload("a").of_workload("b")


def test_round_trips_are_read_by_time(tmp_path: Path) -> None:
    found = load_rtt_trace(csv(tmp_path, {"at_s": [5, 0, 2.5], "rtt_ms": [30, 10, 20]}))
    assert (found.at_s, found.rtt_ms) == ((0.0, 2.5, 5.0), (10.0, 20.0, 30.0))
    with pytest.raises(TraceError, match=r"2\.5 s is there twice"):
        load_rtt_trace(csv(tmp_path, {"at_s": [2.5, 0, 2.5], "rtt_ms": [30, 10, 20]}))


def test_a_table_separated_by_semicolons_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("arrival_s;prompt_tokens;output_tokens\n0,5;10;20\n1,5;10;20\n")
    with pytest.raises(TraceError, match=r"line 1: one column; is it separated by ;\?"):
        load_requests(path)
