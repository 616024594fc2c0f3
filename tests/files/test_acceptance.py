"""Acceptance traces: both forms, three formats, and everything that can be wrong with one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import RoundTrace, TokenTrace, tokens_per_round
from dsd_plan.errors import TraceError
from dsd_plan.files import load_acceptance, write_acceptance
from tests.domain.clinic import METADATA, ROUNDS, TOKENS

META = {key: str(getattr(METADATA, key)) for key in METADATA.__dataclass_fields__ if getattr(METADATA, key) is not None}
ROWS: dict[str, list[Any]] = {"request_id": [5, 5, 6], "position": [0, 1, 0], "match": [1, 0, 1]}
ROUND_ROWS: dict[str, list[Any]] = {"request_id": [5, 5], "round": [0, 1], "proposed": [4, 4], "accepted": [4, 0]}


def parquet(folder: Path, rows: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    path = folder / "trace.parquet"
    pl.DataFrame(rows).write_parquet(path, metadata=META if metadata is None else metadata)
    return path


def same(a: TokenTrace | RoundTrace, b: TokenTrace | RoundTrace) -> bool:
    names = [name for name in type(a).__dataclass_fields__ if name != "metadata"]
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return a.metadata == b.metadata and all(
        (x is None and y is None) or (x.dtype == y.dtype and np.array_equal(x, y)) for x, y in pairs
    )


@pytest.mark.parametrize(
    "trace",
    [
        TOKENS,
        ROUNDS,
        replace(TOKENS, task=None, confidence=np.linspace(0, 1, 8), context_tokens=np.arange(8)),
        replace(ROUNDS, task=np.array(["a", "b", "γ"]), metadata=replace(METADATA, temperature=None)),
        replace(
            ROUNDS,
            metadata=replace(METADATA, top_p=0.9, candidates=1),
            context_tokens=np.array([7, 9, 11]),
            candidates=np.array([1, 1, 1]),
            draft_ms=np.array([1.5, 0.0, 2.0]),
            verify_ms=np.array([3.0, 3.5, 4.0]),
        ),
    ],
)
def test_a_trace_is_read_as_it_was_written(tmp_path: Path, trace: TokenTrace | RoundTrace) -> None:
    path = tmp_path / "trace.parquet"
    write_acceptance(path, trace)
    before = path.read_bytes()
    assert same(load_acceptance(path), trace)
    write_acceptance(path, load_acceptance(path))
    assert path.read_bytes() == before


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 10**6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_may_stand_in_any_order(tmp_path: Path, lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    request_id = np.repeat(np.arange(len(lengths)), lengths)
    position = np.concatenate([np.arange(length) for length in lengths])
    match = random.integers(0, 2, request_id.size)
    # The first row of each request stays in order, so that requests appear as before.
    order = np.argsort(np.where(position == 0, request_id - 10.0, random.random(request_id.size)))
    shuffled = {"request_id": request_id[order], "position": position[order], "match": match[order]}
    trace = load_acceptance(parquet(tmp_path, shuffled))
    assert isinstance(trace, TokenTrace)
    np.testing.assert_array_equal(trace.request_id, request_id)
    np.testing.assert_array_equal(trace.match, match)


def test_the_metadata_is_in_the_parquet_file(tmp_path: Path) -> None:
    write_acceptance(tmp_path / "t.parquet", TOKENS)
    stored = pl.read_parquet_metadata(tmp_path / "t.parquet")
    assert {key: stored[key] for key in META} == META
    assert META["temperature"] == "0.0"


def test_csv_and_jsonl_have_it_beside_them(tmp_path: Path) -> None:
    csv, jsonl = tmp_path / "t.csv", tmp_path / "t.jsonl"
    csv.write_text("request_id,position,match,task\r\na,0,1,code\r\na,1,0,code\r\nb,0,true,chat\r\n")
    rows = [("a", 0, 1, "code"), ("a", 1, False, "code"), ("b", 0, 1, "chat")]
    keys = ("request_id", "position", "match", "task")
    jsonl.write_text("\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows) + "\n\n")
    for path in (csv, jsonl):
        with pytest.raises(TraceError, match=rf"metadata is missing; write {path.name}\.meta\.json beside it"):
            load_acceptance(path)
        Path(f"{path}.meta.json").write_text(json.dumps(META | {"temperature": 0}))
    first, second = load_acceptance(csv), load_acceptance(jsonl)
    assert same(first, second)
    assert isinstance(first, TokenTrace)
    assert first.metadata == METADATA
    assert first.request_id.tolist() == [0, 0, 1]  # texts become numbers in the order in which they appear
    assert first.match.tolist() == [1, 0, 1]


def test_a_recorded_trace_gives_the_tokens_a_round_that_were_seen(tmp_path: Path) -> None:
    trace = load_acceptance(parquet(tmp_path, ROUND_ROWS))
    assert isinstance(trace, RoundTrace)
    assert tokens_per_round(trace, 4) == pytest.approx(1 + 4 / 2)


def test_the_temperature_may_be_a_column(tmp_path: Path) -> None:
    without = {key: value for key, value in META.items() if key != "temperature"}
    trace = load_acceptance(parquet(tmp_path, ROWS | {"temperature": [0.7] * 3}, without))
    assert trace.metadata.temperature == 0.7


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS | {"match": [1, 0, 2]}, 'column "match": row 3: found 2, expected 0 or 1'),
        (ROWS | {"match": [1.0, 0.0, 1.0]}, 'column "match": is stored as Float64, expected 0 or 1'),
        (ROWS | {"match": [1, None, 1]}, 'column "match": row 2: nothing there (1 such rows)'),
        (ROWS | {"position": [0, 2, 0]}, "request 5: found 2 where 1 is due"),
        (ROWS | {"position": [0, 0, 0]}, "request 5: found 0 where 1 is due"),
        (ROWS | {"position": [1, 2, 0]}, "request 5: found 1 where 0 is due"),
        (ROWS | {"position": [0, -1, 0]}, 'column "position": row 2: found -1, expected a whole number, 0 or more'),
        (ROWS | {"confidence": [0.5, 1.5, 0.1]}, "row 2: found 1.5, expected a number from 0 to 1"),
        (ROWS | {"confidence": [0.5, float("nan"), 0.1]}, "row 2: found nan"),
        (ROWS | {"confidense": [0.5, 0.5, 0.1]}, 'column "confidense": unknown; did you mean "confidence"?'),
        (ROWS | {"note": ["a", "b", "c"]}, 'column "note": unknown; known here: request_id, position'),
        (ROWS | {"task": ["a", "", "c"]}, "expected printable text of 1 to 200 characters"),
        (ROWS | {"temperature": [0.0, 0.7, 0.0]}, "not supported yet: rows of several temperatures"),
        ({key: value for key, value in ROWS.items() if key != "position"}, 'column "position": missing'),
        ({"request_id": [1]}, "has columns of neither form"),
        (ROWS | {"proposed": [1, 1, 1]}, "has columns of both form"),
        ({key: value[:0] for key, value in ROWS.items()}, "has no rows"),
        (ROUND_ROWS | {"accepted": [4, 5]}, "request 5, round 1: accepted 5 of 4 proposed (1 such rows)"),
        (ROUND_ROWS | {"proposed": [4, 0]}, 'column "proposed": row 2: found 0, expected a whole number, 1 or more'),
        (ROUND_ROWS | {"round": [0, 0]}, "request 5: found 0 where 1 is due"),
    ],
)
def test_a_wrong_trace_is_explained(tmp_path: Path, rows: dict[str, list[Any]], says: str) -> None:
    with pytest.raises(TraceError) as caught:
        load_acceptance(parquet(tmp_path, rows))
    assert says in str(caught.value)


def test_columns_that_are_not_used_are_still_checked(tmp_path: Path) -> None:
    rows = ROUND_ROWS | {"draft_ms": [1.0, 2.0], "uplink_bytes": [16, 16], "candidates": [1, 1]}
    assert isinstance(load_acceptance(parquet(tmp_path, rows)), RoundTrace)
    with pytest.raises(TraceError, match='column "draft_ms": row 2: found -2'):
        load_acceptance(parquet(tmp_path, rows | {"draft_ms": [1.0, -2.0]}))


def test_all_problems_of_columns_and_metadata_are_in_one_message(tmp_path: Path) -> None:
    metadata = {"draft": "small", "proposal": "greedy", "temperature": "warm", "tokenizer_hash": "a", "version": "1"}
    metadata |= {"top_p": "0", "candidates": "1.5"}
    with pytest.raises(TraceError) as caught:
        load_acceptance(parquet(tmp_path, ROWS | {"match": [1, 3, 0], "confidence": [2.0, 0.0, 0.0]}, metadata))
    assert {problem.place for problem in caught.value.problems} == {
        'metadata "target"',
        'metadata "recorder"',
        'metadata "proposal"',
        'metadata "temperature"',
        'metadata "top_p"',
        'metadata "candidates"',
        'column "match"',
        'column "confidence"',
    }


def test_a_misspelt_key_of_the_sidecar_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("request_id,position,match\n1,0,1\n1,1,1\n")
    (tmp_path / "t.csv.meta.json").write_text(json.dumps(META | {"temprature": 1, "temperature": 0}))
    with pytest.raises(TraceError, match='metadata "temprature"'):
        load_acceptance(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "request_id,position,match\n1,0,1\n1,1\n", "line 3: 2 values under 3 columns; half-written?"),
        ("t.csv", "request_id,position,match\n1,0,x\n", 'row 1: found "x" (text), expected 0 or 1'),
        ("t.csv", "request_id,position,match\n1,zero,1\n", 'found "zero" (text), expected a whole number'),
        ("t.csv", "request_id,position,position\n1,0,1\n", 'line 1: the column "position" is there twice'),
        ("t.csv", 'request_id,position,match\n1,"0,1\n', "not valid CSV"),
        ("t.csv", "request_id,position,match\n", "has no rows"),
        ("t.jsonl", '{"request_id": 1, "position": 0, "match": 1}\n{"request_id"\n', "line 2: ends too early"),
        ("t.jsonl", '{"request_id": 1, "position": 0, "match": 1}\n[1]\n', "line 2: expected a JSON table"),
        ("t.jsonl", '{"request_id": 1, "position": 0, "match": "yes"}\n', 'found "yes" (text), expected 0 or 1'),
        ("t.jsonl", '{"request_id": 1, "position": 1e400, "match": 1}\n', "expected a whole number"),
        ("t.txt", "x", 'ends in ".txt", expected .parquet, .csv or .jsonl'),
        ("t.parquet", "x", "is not a Parquet file"),
        ("t.parquet", "PAR1 cut", "ends too early; half-written?"),
        ("t.parquet", "PAR1 damaged PAR1", "is damaged"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / f"{name}.meta.json").write_text(json.dumps(META))
    with pytest.raises(TraceError) as caught:
        load_acceptance(tmp_path / name)
    assert says in str(caught.value)


def test_whole_numbers_of_any_width_are_read(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS).with_columns(
        pl.col("match").cast(pl.Boolean), pl.col("position").cast(pl.UInt8), pl.col("request_id").cast(pl.UInt64)
    )
    path = tmp_path / "t.parquet"
    frame.write_parquet(path, metadata=META)
    trace = load_acceptance(path)
    assert isinstance(trace, TokenTrace)
    assert (trace.match.dtype, trace.request_id.dtype) == (np.uint8, np.int64)
    frame.with_columns(pl.lit(2**63, dtype=pl.UInt64).alias("request_id")).write_parquet(path, metadata=META)
    with pytest.raises(TraceError, match="row 1: found 9223372036854775808"):
        load_acceptance(path)


def test_traces_are_written_as_parquet_alone(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"let the name end in \.parquet"):
        write_acceptance(tmp_path / "t.csv", TOKENS)


def test_several_paths_are_read_and_told(tmp_path: Path) -> None:
    trace = load_acceptance(parquet(tmp_path, ROUND_ROWS | {"candidates": [1, 4]}))
    assert isinstance(trace, RoundTrace)
    assert trace.several_paths
    one = load_acceptance(parquet(tmp_path, ROUND_ROWS | {"candidates": [1, 1]}))
    assert isinstance(one, RoundTrace)
    assert not one.several_paths
