"""Logs of serving systems, small ones of our own making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dsd_plan.errors import TraceError
from dsd_plan.files.serving_logs import read_serving_logs
from dsd_plan.files.trace_import import ImportOptions
from dsd_plan.files.trace_import.kinds import kind_named


def lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def rows(frame: pl.LazyFrame | None) -> dict[str, list[Any]]:
    assert frame is not None
    return frame.collect().to_dict(as_series=False)


BENCH: dict[str, Any] = {
    "model_id": "org/chat",
    "duration": 10.0,
    "max_concurrency": 4,
    "input_lens": [100, 200, 300],
    "output_lens": [3, 5, 0],
    "start_times": [50.0, 51.0, 52.0],
    "ttfts": [0.03, 0.06, 0.0],
    "itls": [[0.01, 0.01], [0.02, 0.06], []],
}


def bench(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({key: value for key, value in (BENCH | changes).items() if value is not None}))
    return path


def test_benchmark_of_vllm(tmp_path: Path) -> None:
    """TPOT: 20 ms / 2 and 80 ms / 4, though the second answer came in two chunks; the third request failed."""
    read = read_serving_logs([bench(tmp_path / "bench.json")], None, None)
    seen = read.seen
    assert rows(read.requests) == {"arrival_s": [0.0, 1.0], "prompt_tokens": [100, 200], "output_tokens": [3, 5]}
    assert (seen.model, seen.requests, seen.rate_per_s, seen.prompt_tokens) == ("org/chat", 2, 1.0, 150.0)
    assert (seen.tpot_ms.mean, seen.tpot_ms.p50) == (pytest.approx(15.0), pytest.approx(15.0))
    assert (seen.ttft_ms.mean, seen.itl_ms.mean) == (pytest.approx(45.0), pytest.approx(25.0))
    # Little's law: 1 a second of (50 + 140) / 2 ms.
    assert seen.running == pytest.approx(0.095)
    # (30 − 15) / 100 and (60 − 15) / 200, a tenth of the way from the first to the second.
    assert seen.prefill_ms_per_token == pytest.approx(0.1575)
    assert any("1 of 3 requests has no output" in note for note in seen.notes)
    assert any("at most 4 requests open" in note for note in seen.notes)


def test_older_benchmark_has_no_times(tmp_path: Path) -> None:
    read = read_serving_logs([bench(tmp_path / "bench.json", start_times=None)], None, None)
    assert read.requests is None
    assert (read.seen.rate_per_s, read.seen.output_tokens) == (0.2, 4.0)
    with pytest.raises(TraceError, match="--save-detailed"):
        read_serving_logs([bench(tmp_path / "bench.json", start_times=None, duration=None)], None, None)


def test_benchmark_whose_lists_differ(tmp_path: Path) -> None:
    path = bench(tmp_path / "bench.json", output_lens=[1], itls=[])
    with pytest.raises(TraceError, match=r"(?s)2 problems.*output_lens: found 1 values.*itls: expected 3 lists"):
        read_serving_logs([path], None, None)
    with pytest.raises(TraceError, match=r'ttfts\[1\]: found "x"'):
        read_serving_logs([bench(path, ttfts=[1, "x", 2])], None, None)


def usage(prompt: int, output: int, cached: int | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output}
    return told if cached is None else told | {"prompt_tokens_details": {"cached_tokens": cached}}


def test_access_logs_are_put_together_in_order(tmp_path: Path) -> None:
    first = lines(
        tmp_path / "a.jsonl",
        [
            {"created": 1_700_000_010, "model": "m", "usage": usage(100, 20, 50), "ttft_ms": 60.0, "latency_s": 0.44},
            {"created": 1_700_000_010, "model": "m", "usage": None},
        ],
    )
    second = lines(
        tmp_path / "b.jsonl",
        [{"timestamp": "2023-11-14T22:13:20Z", "response": {"model": "m", "usage": usage(300, 10)}, "ttft_ms": 80.0}],
    )
    read = read_serving_logs([first, second], None, None)
    assert rows(read.requests) == {
        "arrival_s": [0.0, 10.0],
        "prompt_tokens": [300, 100],
        "output_tokens": [10, 20],
        "cached_prefix_tokens": [0, 50],
    }
    assert (read.seen.model, read.seen.cached_share, read.seen.rate_per_s) == ("m", 0.125, 0.1)
    assert read.seen.ttft_ms.mean == 70.0
    # (440 − 60) / 19, of the one request that tells it; (60 − 20) / the 50 tokens that were computed.
    assert read.seen.tpot_ms.mean == pytest.approx(20.0)
    assert read.seen.prefill_ms_per_token == pytest.approx(0.8)
    assert any("whole seconds" in note for note in read.seen.notes)


def test_of_several_models_one_is_chosen(tmp_path: Path) -> None:
    records = [{"created": 10.5 + at, "model": "ab"[at % 2], "usage": usage(10 + at, 5)} for at in range(6)]
    path = lines(tmp_path / "a.jsonl", records)
    with pytest.raises(TraceError, match="requests to a, b; say --model"):
        read_serving_logs([path], None, None)
    assert read_serving_logs([path], None, "b").seen.prompt_tokens == 13.0


def test_access_log_tells_every_bad_record(tmp_path: Path) -> None:
    records = [
        {"created": 1, "usage": {"prompt_tokens": -1, "completion_tokens": 2}},
        {"usage": usage(1, 2)},
        {"created": "soon", "usage": usage(1, 2)},
    ]
    with pytest.raises(TraceError, match=r"(?s)line 1: usage.prompt_tokens: found -1.*line 2.*none.*line 3.*soon"):
        read_serving_logs([lines(tmp_path / "a.jsonl", records)], None, None)


def test_table_in_our_columns_with_latencies(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        "arrival_s,prompt_tokens,output_tokens,ttft_ms,tpot_ms\n0,100,10,30,10\n2,100,30,50,20\n4,100,20,40,30\n"
    )
    seen = read_serving_logs([path], None, None).seen
    assert (seen.rate_per_s, seen.tpot_ms.mean, seen.ttft_ms.p50) == (0.5, 20.0, 40.0)


def test_a_kind_of_trace_import(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text("prompt_len,output_len\n" + "10,20\n" * 200)
    read = read_serving_logs([path], kind_named("lengths"), None, ImportOptions(rate_per_s=4.0))
    assert (read.seen.prompt_tokens, read.seen.output_tokens) == (10.0, 20.0)
    assert 3.0 < read.seen.rate_per_s < 5.0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.jsonl", '{"a": 1}\n', "holds no requests: expected JSON of vllm bench serve"),
        ("x.json", "[]", "holds no requests"),
        ("x.csv", "a,b\n1,2\n", r"has no column arrival_s.*--kind KIND"),
        ("x.jsonl", '{"created": 5, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n', "two different times"),
    ],
)
def test_wrong_logs_are_one_error(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(TraceError, match=said):
        read_serving_logs([path], None, None)


def test_two_benchmarks_share_no_clock(tmp_path: Path) -> None:
    paths = [bench(tmp_path / "a.json"), bench(tmp_path / "b.json")]
    with pytest.raises(TraceError, match=r"b\.json: is a second file of a benchmark"):
        read_serving_logs(paths, None, None)
