"""Workload traces of other tools, and everything that can be wrong with one. All files made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dsd_plan.errors import TraceError
from dsd_plan.files import load_requests, stream_requests
from dsd_plan.files.trace_import import KINDS, Imported, ImportOptions, import_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951691,396,109\n"
    "2023-11-16 18:15:51.2224670,879,55\r\n"
)


def read(kind: str, path: Path, **options: Any) -> Imported:
    return import_trace(path, next(each for each in KINDS if each.name == kind), ImportOptions(**options))


def frame(imported: Imported) -> pl.DataFrame:
    assert isinstance(imported.trace, pl.LazyFrame)
    return imported.trace.collect()


def text(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def test_seven_digits_and_mixed_line_ends(tmp_path: Path) -> None:
    found = frame(read("azure", text(tmp_path, "a.csv", AZURE)))
    assert found["arrival_s"].to_list() == pytest.approx([0.0, 4.3145791, 4.541877], abs=1e-9)
    assert found["prompt_tokens"].to_list() == [374, 396, 879]
    assert found["output_tokens"].to_list() == [44, 109, 55]


def test_the_later_format_has_six_digits_and_a_zone(tmp_path: Path) -> None:
    rows = "2024-05-10 00:00:00.009930+00:00,10,2\n2024-05-10 00:00:01+00:00,11,3\n"
    found = frame(read("azure", text(tmp_path, "a.csv", f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")))
    assert found["arrival_s"].to_list() == pytest.approx([0.0, 0.99007], abs=1e-12)


def test_what_is_written_can_be_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    imported = read("azure", text(tmp_path, "a.csv", AZURE))
    assert isinstance(imported.trace, pl.LazyFrame)
    out = tmp_path / "out" / "a.parquet"
    stream_requests(out, imported.trace)
    assert load_requests(out).output_tokens.tolist() == [44, 109, 55]
    assert [each.name for each in out.parent.iterdir()] == ["a.parquet"]
    with pytest.raises(TraceError, match=r"let the name end in \.parquet"):
        stream_requests(tmp_path / "a.csv2", imported.trace)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2023-11-16 18:15:52.0,-3,5", r'column "ContextTokens", row 4: found -3, expected a whole number, 0 or more;'),
        ("2023-11-16 18:15:52.0,3,4.5", 'column "GeneratedTokens", row 4: found 4.5, expected a whole number'),
        ("2023-11-16 18:15:52.0,abc,4", 'column "ContextTokens", row 4: found abc, expected a whole number'),
        ("2023-11-16 18:15:52.0,3,NaN", 'column "GeneratedTokens", row 4: found NaN, expected a whole number'),
        ("2023-11-16 18:15:52.0,inf,4", 'column "ContextTokens", row 4: found inf, expected a whole number'),
        ("2023-11-16 18:15:52.0,1e20,4\nx,1e20,4", r"row 4: found 1e20, .* \(and 1 more row like it\)"),
        ("2023-11-16 18:15:52.0,3,", 'column "GeneratedTokens", row 4: found nothing'),
        ("not a time,3,5", 'column "TIMESTAMP", row 4: found not a time, expected a time'),
        ("2023-11-16 18:15:52.0,3,4,5", "line 5: 4 values under 3 columns; half-written?"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(TraceError, match=says):
        read("azure", text(tmp_path, "a.csv", AZURE + row + "\n"))


def test_failures_are_counted_and_left_out(tmp_path: Path) -> None:
    found = read("azure", text(tmp_path, "a.csv", AZURE + "2023-11-16 18:15:53.0,3,0\n2023-11-16 18:15:54.0,0,4\n"))
    assert frame(found).height == 3
    assert "1 of 5 requests has no output (failures) and is left out" in found.notes
    assert "1 request has an empty prompt and is left out" in found.notes


def test_arrivals_out_of_order_are_sorted_and_said(tmp_path: Path) -> None:
    found = read("azure", text(tmp_path, "a.csv", AZURE + "2023-11-16 18:15:40.6805900,7,8\n"))
    assert frame(found)["arrival_s"].to_list() == pytest.approx([0.0, 6.0, 10.3145791, 10.541877], abs=1e-9)
    assert any("1 arrival comes before the one above" in note for note in found.notes)


def test_lengths_of_any_type_are_whole_or_refused_in_tables_and_lines(tmp_path: Path) -> None:
    table = tmp_path / "a.parquet"
    pl.DataFrame({"arrival_s": [0.0, 1.0], "prompt_tokens": [3.0, 1e20], "output_tokens": [3, 4]}).write_parquet(table)
    with pytest.raises(TraceError, match=r'a\.parquet: column "prompt_tokens", row 2: found 1e\+20, expected a whole'):
        read("requests-table", table)
    pl.DataFrame({"arrival_s": [0.0, 1.0], "prompt_tokens": [3.0, 5.0], "output_tokens": [3, 4]}).write_parquet(table)
    assert frame(read("requests-table", table))["prompt_tokens"].to_list() == [3, 5]
    # The first thousand rows must not decide what the others may hold.
    lines = [json.dumps({"timestamp": at, "input_length": 9, "output_length": 5}) for at in range(1200)]
    late = text(tmp_path, "m.jsonl", "\n".join([*lines, lines[0].replace("9", "4.5")]))
    with pytest.raises(TraceError, match=r'column "input_length", row 1201: found 4\.5'):
        read("mooncake", late)
    cut = text(tmp_path, "cut.jsonl", "\n".join([*lines[:30], lines[0][:17]]))
    with pytest.raises(TraceError, match=r"cut\.jsonl: line 31: ends too early; half-written"):
        read("mooncake", cut)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is a folder, expected a file"):
        read("azure", tmp_path)


BURST = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,GPT-4,10,20,30,API log\n"
    "45,ChatGPT,7,0,7,Conversation log\n"
    "118,ChatGPT,8,9,17,Conversation log\n"
)


def test_burstgpt_by_model_or_log(tmp_path: Path) -> None:
    path = text(tmp_path, "b.csv", BURST)
    assert frame(read("burstgpt", path))["arrival_s"].to_list() == [0.0, 113.0]
    assert frame(read("burstgpt", path, group="GPT-4"))["output_tokens"].to_list() == [20]
    with pytest.raises(TraceError, match="has no rows"):
        read("burstgpt", path, group="other")


def test_mooncake_blocks_seen_before_are_cached(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 1200, "output_length": 5, "hash_ids": [1, 2, 3]},
        {"timestamp": 500, "input_length": 1500, "output_length": 6, "hash_ids": [1, 2, 4]},
        {"timestamp": 900, "input_length": 1024, "output_length": 7, "hash_ids": [1, 2]},
        {"timestamp": 950, "input_length": 600, "output_length": 7, "hash_ids": [9, 2]},
    ]
    path = text(tmp_path, "m.jsonl", "\n".join(json.dumps(row) for row in rows))
    found = frame(read("mooncake", path))
    assert found["arrival_s"].to_list() == [0.0, 0.5, 0.9, 0.95]
    # Two blocks of 512; a prompt that is all cached still computes its last token; a prefix ends at its first miss.
    assert found["cached_prefix_tokens"].to_list() == [0, 1024, 1023, 0]
    out = tmp_path / "m.parquet"
    stream_requests(out, found.lazy())
    assert load_requests(out).prefill_tokens.tolist() == [1200, 476, 1, 600]


def test_dsd_sim_splitwise_and_bare_lengths(tmp_path: Path) -> None:
    sim = text(
        tmp_path,
        "d.jsonl",
        '{"arrival_ms": 0.0, "prompt_tokens": 3, "target_tokens": 4}\n'
        '{"arrival_ms": 25.0, "prompt_tokens": 5, "target_tokens": 6}\n',
    )
    assert frame(read("dsd-sim", sim)).rows() == [(0.0, 3, 4), (0.025, 5, 6)]
    split = text(
        tmp_path, "s.csv", "request_id,arrival_timestamp,batch_size,prompt_size,token_size\n0,1.5,1,7,8\n1,2,1,9,1\n"
    )
    assert frame(read("splitwise", split)).rows() == [(0.0, 7, 8), (0.5, 9, 1)]
    bare = text(tmp_path, "l.csv", "prompt_len,output_len\n" + "10,20\n" * 4000)
    with pytest.raises(TraceError, match="--rate-per-s"):
        read("lengths", bare)
    found = read("lengths", bare, rate_per_s=8.0, seed=4)
    assert any("made up: Poisson, 8 a second, seed 4" in note for note in found.notes)
    assert np.diff(frame(found)["arrival_s"].to_numpy()).mean() == pytest.approx(1 / 8, rel=0.06)


def serve_gen(folder: Path) -> Path:
    folder.mkdir()
    text(folder, "chunk-3-trace.csv", "0,2.0,0.7,Gamma,2.0,0.25\n600,0,0,,0,0\n1200,1.0,2.0,Weibull,0.55,0.6\n")
    lengths = {"0": {"input_tokens": "{10: 0.25, 20: 0.75}", "output_tokens": "{5: 1.0}", "reason_ratio": "{0.0: 1.0}"}}
    later = {"1200": {"input_tokens": "{100: 1.0}", "output_tokens": "{7: 1.0}"}}
    text(folder, "chunk-3-dataset.json", json.dumps(lengths | later))
    return folder


def test_a_generator_is_sampled_at_its_rates_and_lengths(tmp_path: Path) -> None:
    folder = serve_gen(tmp_path / "model")
    counts, cvs = [], []
    for seed in range(20):
        found = frame(read("servegen", folder, seed=seed, span_s=1800.0))
        early, late = found.filter(pl.col("prompt_tokens") < 50), found.filter(pl.col("prompt_tokens") == 100)
        counts.append((early.height, late.height))
        gaps = np.diff(early["arrival_s"].to_numpy())
        cvs.append(gaps.std() / gaps.mean())
        assert set(late["output_tokens"].to_list()) == {7}
    mean = np.mean(counts, axis=0)
    # 1,200 and 600 expected; the count of n gaps varies by cv·√n, twenty samples of it by √20 less.
    assert mean[0] == pytest.approx(1200, abs=4 * 0.71 * 1200**0.5 / 20**0.5)
    assert mean[1] == pytest.approx(600, abs=4 * 2.0 * 600**0.5 / 20**0.5)
    assert np.mean(cvs) == pytest.approx(0.5**0.5, rel=0.03)
    again = frame(read("servegen", folder, seed=0, span_s=1800.0))
    assert again.equals(frame(read("servegen", folder, seed=0, span_s=1800.0)))
    with pytest.raises(TraceError, match="the source describes 1800 s"):
        read("servegen", folder, span_s=3600.0)


def test_a_client_without_requests_in_the_span_changes_nothing(tmp_path: Path) -> None:
    folder = serve_gen(tmp_path / "model")
    text(folder, "chunk-1-trace.csv", "0,0,0,,0,0\n600,1.0,1.0,Gamma,1.0,1.0\n")
    text(folder, "chunk-1-dataset.json", (folder / "chunk-3-dataset.json").read_text(encoding="utf-8"))
    found = frame(read("servegen", folder, span_s=300.0))
    assert set(found["user"].to_list()) == {"client-3"}
    assert found["user"].dtype == pl.String


def test_a_generator_that_is_no_python_dict_is_not_run(tmp_path: Path) -> None:
    folder = serve_gen(tmp_path / "model")
    evil = {"0": {"input_tokens": "__import__('os').getpid()", "output_tokens": "{1: 1.0}"}}
    text(folder, "chunk-3-dataset.json", json.dumps(evil))
    with pytest.raises(TraceError, match=r'"0"\.input_tokens: expected a text such as'):
        read("servegen", folder, span_s=600.0)


def test_our_own_columns_and_no_others(tmp_path: Path) -> None:
    path = text(tmp_path, "r.csv", "arrival_s,prompt_tokens,output_tokens,user\n5,1,2,ann\n7,3,4,bob\n")
    assert frame(read("requests-table", path)).columns == ["arrival_s", "prompt_tokens", "output_tokens", "user"]
    with pytest.raises(TraceError, match="unknown column extra"):
        read("requests-table", text(tmp_path, "x.csv", "arrival_s,prompt_tokens,output_tokens,extra\n5,1,2,1\n"))


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.yields == "requests"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.txt"])
@pytest.mark.parametrize(
    "content", [b"", b"PAR1 half a parquet file", b"\xff\xfe\x00", b'{"a": 1}\n{"a": ', b"a,b\n1,2\n3\n"]
)
def test_a_file_of_something_else_is_one_clear_error(tmp_path: Path, kind: str, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read(kind, path, rate_per_s=1.0)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 700
