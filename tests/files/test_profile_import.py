"""Importers: hand-worked steps from small tables of each source, and everything that is wrong with a bad one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.step_time import decode_origin
from dsd_plan.errors import ProfileError
from dsd_plan.files import load_profile
from dsd_plan.files.profile_import import KINDS, ImportedProfile, ImportOptions, import_profile
from dsd_plan.files.profile_import.imported import one_value, spread

NAMED = ImportOptions(device="box", model="tiny", layers=2, citation="us, here, public domain")
SPLITWISE = (
    "model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,e2e_time,"
    "tensor_parallel"
)


def steps(found: ImportedProfile) -> dict[tuple[str, int, int, int], float]:
    """Median ms by phase, batch, new tokens and context."""
    return {(p.phase, p.batch, p.new_tokens, p.context_tokens): p.latency_ms.p50 for p in found.points}


def text_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def json_file(path: Path, body: Any) -> Path:
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


def table(path: Path, columns: str, rows: Sequence[Sequence[object]]) -> None:
    text_file(path, columns, *(",".join(str(value) for value in row) for row in rows))


# Splitwise


def splitwise(tmp_path: Path) -> Path:
    return text_file(
        tmp_path / "perf_model.csv",
        SPLITWISE,
        # Three runs of nine steps of 10, 12 and 11 ms after a prefill of 30, 34 and 32 ms; the first written twice.
        "llama,a100,100,2,10,0,0,30,10,120,8",
        "llama,a100,100,2,10,0,0,30,10,120,8",
        "llama,a100,100,2,10,0,0,34,12,142,8",
        "llama,a100,100,2,10,0,0,32,11,131,8",
        # Stopped after 4 of 9 steps: its prefill counts, its decode time is of no known context.
        "llama,a100,100,2,10,0,0,33,50,233,8",
        # 20 steps' time for 9: the batch of 64 ran in turns, so neither time is of a batch of 64.
        "llama,a100,100,64,10,0,0,40,15,340,8",
        "llama,a100,100,1,10,1.0,0.7,20,9,101,2",
        "llama,h100-80gb-pcap,100,2,10,0,0,39,10,129,8",
    )


def test_splitwise_keeps_what_was_measured(tmp_path: Path) -> None:
    imported = import_profile(splitwise(tmp_path), "splitwise", ImportOptions(citation="paper"))
    two, eight = imported.profiles
    assert (two.device, eight.device, eight.model) == ("a100-tp2", "a100-tp8", "llama")
    assert steps(two) == {("decode", 1, 1, 104): 9.0, ("prefill", 1, 100, 0): 20.0}
    assert steps(eight) == {("decode", 2, 1, 104): 11.0, ("prefill", 2, 100, 0): 32.5}
    decode, prefill = eight.points
    assert (decode.samples, prefill.samples) == (3, 4)
    assert (decode.latency_ms.mean, decode.latency_ms.std, decode.latency_ms.min) == (11.0, 1.0, 10.0)
    assert eight.method["runs_stopped_early"] == 1
    assert eight.method["runs_in_turns"] == 1
    assert eight.method["batches_in_turns"] == "64 of 100 tokens"
    assert eight.citation == "paper"
    assert imported.warnings == (
        "1 rows are written twice; each is counted once",
        "1 rows of h100-80gb-pcap are computed from others, not measured: left out",
    )


def test_splitwise_powers_are_not_invented(tmp_path: Path) -> None:
    for found in import_profile(splitwise(tmp_path), "splitwise", ImportOptions()).profiles:
        assert all(point.energy_j is None for point in found.points)
        assert "not imported" in str(found.method["power"])


def test_splitwise_says_every_bad_row(tmp_path: Path) -> None:
    source = text_file(
        tmp_path / "bad.csv",
        SPLITWISE,
        "llama,a100,100,2,10,0,0,-30,10,120,8",
        "llama,a100,100,0,10,0,0,30,ten,120,8",
        "llama,a100,100,2,10,0,0,30,10,12,8",
        ",a100,100,2,10,0,0,30,nan,120,8",
        "llama,a100,100",
    )
    with pytest.raises(ProfileError) as raised:
        import_profile(source, "splitwise", ImportOptions())
    told = str(raised.value)
    for part in (
        "line 2: prompt_time: found -30, expected a number above 0",
        "line 3: batch_size: found 0, expected a whole number, 1 or more",
        'line 3: token_time: found "ten"',
        "line 4: e2e_time 12 is shorter than prompt_time 30",
        "line 5: model: nothing there, expected text",
        'line 5: token_time: found "nan"',
        "line 6: 3 values under 11 columns",
    ):
        assert part in told
    assert len(raised.value.problems) == 7


def test_a_table_that_is_wrong_throughout_is_told_briefly(tmp_path: Path) -> None:
    rows = [f"m,a,1,{n + 1},9,0,0,x,1,9,8" for n in range(100)]
    source = text_file(tmp_path / "bad.csv", SPLITWISE, *rows)
    with pytest.raises(ProfileError, match="and 60 more like these"):
        import_profile(source, "splitwise", NAMED)


def test_splitwise_several_profiles_cannot_share_a_name(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="2 profiles"):
        import_profile(splitwise(tmp_path), "splitwise", ImportOptions(device="mine"))


def test_a_table_of_another_tool_is_refused(tmp_path: Path) -> None:
    source = text_file(tmp_path / "other.csv", "a,b", "1,2")
    with pytest.raises(ProfileError, match=r"no column model, hardware.*found a, b.*--from"):
        import_profile(source, "splitwise", ImportOptions())


# Layer tables

DENSE = {
    "embedding": 1,
    "layernorm": 2,
    "qkv_proj": 3,
    "rotary_emb": 4,
    "o_proj": 5,
    "gate_up_proj": 6,
    "act_fn": 7,
    "down_proj": 8,
    "final_layernorm": 9,
}
"""µs at one token; at n tokens n times as much. A block: 2·2 + 3 + 4 + 5 + 6 + 7 + 8 = 37; once: 1 + 9 = 10."""


def layer_tables(
    folder: Path, attention: Sequence[Sequence[object]], columns: str = "prefill_chunk,kv_prefill,n_decode,kv_decode"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    counts = (1, 2, 4, 16)
    table(folder / "dense.csv", "layer,tokens,time_us", [(k, n, us * n) for k, us in DENSE.items() for n in counts])
    table(
        folder / "per_sequence.csv",
        "layer,sequences,time_us",
        [(k, n, us * n) for k, us in {"lm_head": 100, "sampler": 20}.items() for n in counts],
    )
    table(folder / "attention.csv", f"{columns},time_us", attention)
    text_file(
        folder / "meta.yaml",
        "vllm_version: 0.19.0",
        "hardware: RTX4090",
        "profiled_at: '2026-08-17T19:43:32+00:00'",
        "model: meta-llama/Llama-3.1-8B",
        "variant: bf16",
        "engine_effective:",
        "  model: another",
    )
    return folder


def test_layer_tables_add_up_to_steps_of_the_whole_model(tmp_path: Path) -> None:
    rows = [
        (0, 0, 1, 64, 50),
        (0, 0, 2, 64, 60),
        (16, 0, 0, 0, 70),
        (16, 64, 0, 0, 80),
        (16, 64, 2, 64, 90),
        (0, 0, 3, 64, 1),
    ]
    found = import_profile(layer_tables(tmp_path / "tp1", rows), "layer-tables", ImportOptions(layers=2)).profiles[0]
    assert (found.device, found.model, found.precision) == ("RTX4090", "Llama-3.1-8B", "bf16")
    assert found.software == {"vllm": "0.19.0"}
    assert found.measured_at == "2026-08-17T19:43:32+00:00"
    assert steps(found) == pytest.approx(
        {
            ("decode", 1, 1, 64): (10 + 2 * (37 + 50) + 120) / 1000,
            ("decode", 2, 1, 64): (20 + 2 * (74 + 60) + 240) / 1000,
            # The logits of one prompt's last token alone are wanted.
            ("prefill", 1, 16, 0): (160 + 2 * (592 + 70) + 120) / 1000,
        }
    )
    assert found.method["attention_rows_mixed"] == 1
    assert found.method["attention_rows_left_out"] == 1
    assert "law alone" in str(found.method["verify"])
    assert all(point.samples == 1 and point.latency_ms.mad is None for point in found.points)


def test_layer_tables_verify_where_the_table_says_how_many_new_tokens(tmp_path: Path) -> None:
    columns = "prefill_chunk,kv_prefill,n_decode,kv_decode,decode_q_len"
    folder = layer_tables(tmp_path, [(0, 0, 2, 64, 1, 60), (0, 0, 2, 64, 2, 61)], columns)
    found = import_profile(folder, "layer-tables", NAMED).profiles[0]
    assert steps(found)["decode", 2, 2, 64] == pytest.approx((40 + 2 * (4 * 37 + 61) + 480) / 1000)
    assert found.method["verify"] is None


@pytest.mark.parametrize(
    ("folder", "extra", "options", "told"),
    [
        ("tp1", None, ImportOptions(device="d", model="m"), "--layers"),
        ("tp2", None, NAMED, "one device's share of 2"),
        ("tp1", "moe.csv", NAMED, "experts"),
    ],
)
def test_layer_tables_that_would_mislead_are_refused(
    tmp_path: Path, folder: str, extra: str | None, options: ImportOptions, told: str
) -> None:
    made = layer_tables(tmp_path / folder, [(0, 0, 1, 64, 50)])
    if extra:
        text_file(made / extra, "x")
    with pytest.raises(ProfileError, match=told):
        import_profile(made, "layer-tables", options)


def test_layer_tables_of_another_architecture_name_what_they_lack(tmp_path: Path) -> None:
    folder = layer_tables(tmp_path, [(0, 0, 1, 64, 50)])
    table(folder / "dense.csv", "layer,tokens,time_us", [("embedding", 1, 1), ("layernorm", 1, 0)])
    with pytest.raises(ProfileError) as raised:
        import_profile(folder, "layer-tables", NAMED)
    told = str(raised.value)
    assert "dense.csv: line 3: time_us: found 0" in told
    assert 'no operation "qkv_proj"' in told


# llama.cpp


def bench_row(prompt: int, generated: int, depth: int, samples_ns: Sequence[float] | None) -> dict[str, Any]:
    return {
        "build_commit": "0c1e570",
        "build_number": 1,
        "model_filename": "models/tiny-q4.gguf",
        "model_type": "llama 1B Q4_0",
        "n_prompt": prompt,
        "n_gen": generated,
        "n_depth": depth,
        "avg_ns": 2e6,
        **({} if samples_ns is None else {"samples_ns": list(samples_ns)}),
        "test_time": "2026-11-21T05:46:33Z",
    }


def test_llama_bench(tmp_path: Path) -> None:
    rows = [
        bench_row(512, 0, 0, (40e6, 42e6, 41e6)),
        bench_row(0, 128, 0, (1280e6, 1408e6)),
        bench_row(0, 128, 1000, None),
        bench_row(5, 0, 1000, (3e6,)),
        bench_row(64, 0, 1000, (5e6,)),
        bench_row(512, 128, 0, (1e9,)),
    ]
    source = json_file(tmp_path / "bench.json", rows)
    found = import_profile(source, "llama-bench", ImportOptions(device="box", citation="us")).profiles[0]
    assert found.model == "tiny-q4"
    assert (found.backend, found.precision) == ("llama.cpp 1 (0c1e570)", "llama 1B Q4_0")
    assert steps(found) == pytest.approx(
        {
            ("prefill", 1, 512, 0): 41.0,
            ("decode", 1, 1, 63): 10.5,
            ("decode", 1, 1, 1063): 2 / 128,
            ("decode", 1, 5, 1000): 3.0,
            ("prefill", 1, 64, 1000): 5.0,
        }
    )
    assert found.method["tests_left_out"] == 1
    assert found.measured_at == "2026-11-21T05:46:33Z"
    as_lines = text_file(tmp_path / "bench.jsonl", *(json.dumps(row) for row in rows))
    assert (
        import_profile(as_lines, "llama-bench", ImportOptions(device="box", citation="us")).profiles[0].points
        == found.points
    )


def test_llama_bench_says_every_bad_test(tmp_path: Path) -> None:
    rows = [bench_row(0, 0, 0, (1,)), bench_row(-1, 0, 0, (1,)), bench_row(5, 0, 0, ()), bench_row(5, 0, 0, (0,))]
    with pytest.raises(ProfileError) as raised:
        import_profile(json_file(tmp_path / "bench.json", rows), "llama-bench", NAMED)
    assert [problem.place for problem in raised.value.problems] == ["row 1", "row 2", "row 3", "row 4"]


def test_llama_batched_bench(tmp_path: Path) -> None:
    source = text_file(
        tmp_path / "batched.jsonl",
        '{"n_threads": 4, "is_pp_shared": 0, "pp": 128, "tg": 16, "pl": 4, "t_pp": 0.5, "t_tg": 0.08, "t": 0.58}',
        '{"n_threads": 4, "is_pp_shared": 1, "pp": 128, "tg": 16, "pl": 8, "t_pp": 0.2, "t_tg": 0.16, "t": 0.36}',
    )
    found = import_profile(source, "llama-batched-bench", NAMED).profiles[0]
    assert steps(found) == pytest.approx(
        {
            ("prefill", 4, 128, 0): 500.0,
            ("prefill", 1, 128, 0): 200.0,
            ("decode", 4, 1, 135): 5.0,
            ("decode", 8, 1, 135): 10.0,
        }
    )
    with pytest.raises(ProfileError, match="--model"):
        import_profile(source, "llama-batched-bench", ImportOptions(device="box"))


# vLLM, DSD-Sim, Vidur


def forward(median_us: float, *requests: tuple[int, int]) -> dict[str, Any]:
    return {
        "case": "verify",
        "requests": [{"query_len": q, "kv_len": kv, "num_draft_tokens": q - 1} for q, kv in requests],
        "median_us": median_us,
    }


def test_vllm_forward(tmp_path: Path) -> None:
    rows = [
        forward(9000.0, (4, 4100), (4, 4100)),
        forward(7000.0, (1, 101)),
        forward(20000.0, (512, 512)),
        forward(9500.0, (4, 4100), (1, 101)),
    ]
    imported = import_profile(json_file(tmp_path / "forward.json", rows), "vllm-forward", NAMED)
    found = imported.profiles[0]
    assert steps(found) == {
        ("decode", 2, 4, 4096): 9.0,
        ("decode", 1, 1, 100): 7.0,
        ("prefill", 1, 512, 0): 20.0,
    }
    assert found.method["rows_mixed_left_out"] == 1
    assert "not checked" in imported.warnings[0]
    assert not KINDS["vllm-forward"].verified


def test_vllm_forward_with_lengths_that_leave_the_step_out(tmp_path: Path) -> None:
    """A prompt with nothing cached has kv_len 0: then no kv_len of the file counts the step's own tokens."""
    rows = [forward(9000.0, (4, 4096)), forward(20000.0, (512, 0))]
    imported = import_profile(json_file(tmp_path / "forward.json", rows), "vllm-forward", NAMED)
    assert steps(imported.profiles[0]) == {("decode", 1, 4, 4096): 9.0, ("prefill", 1, 512, 0): 20.0}
    assert any("cached before this step" in warning for warning in imported.warnings)


def test_vllm_forward_says_every_bad_row(tmp_path: Path) -> None:
    rows = [
        forward(1.0, (4, -3)),
        forward(0.0, (1, 2)),
        {"case": "x", "median_us": 1.0},
        forward(1.0, (5, 9)),
        forward(2.0, (5, 9)),
    ]
    with pytest.raises(ProfileError) as raised:
        import_profile(json_file(tmp_path / "forward.json", rows), "vllm-forward", NAMED)
    assert [problem.place for problem in raised.value.problems] == ["row 1: requests[0]", "row 2", "row 3", "row 5"]


def test_dsd_sim_cache_and_rows_say_the_same(tmp_path: Path) -> None:
    keys = [
        ("prefill", "llama", "A100", 2, 1, 300, 0, 0, 1),
        ("decode", "llama", "A100", 4, 1, 0, 1, 500, 1),
        ("verify", "llama", "A100", 4, 1, 0, 5, 500, 1),
        ("decode", "llama", "A100", 4, 1, 0, 8, 500, 1),
    ]
    entries = [{"key": list(key), "latency_ms": 10.0 + n, "energy_mj": 3.0} for n, key in enumerate(keys)]
    cache = json_file(tmp_path / "cache.json", {"config": {}, "entries": entries})
    names = ("phase", "model", "hardware", "batch_size", "microbatch_size", "sequence_length")
    columns = ",".join((*names, "tokens_to_generate", "context_length", "fanout", "latency_ms"))
    table(tmp_path / "rows.csv", columns, [(*key, 10.0 + n) for n, key in enumerate(keys)])
    from_cache = import_profile(cache, "dsd-sim", ImportOptions()).profiles[0]
    from_rows = import_profile(tmp_path / "rows.csv", "dsd-sim", ImportOptions()).profiles[0]
    assert (from_cache.device, from_cache.model) == ("A100", "llama")
    assert steps(from_cache) == {("prefill", 2, 300, 0): 10.0, ("decode", 4, 1, 500): 11.0, ("decode", 4, 5, 500): 12.0}
    assert from_rows.points == from_cache.points
    assert from_cache.method["rows_left_out"] == 1
    assert all(point.energy_j is None for point in from_cache.points)


def vidur(folder: Path, mlp: Sequence[Mapping[str, object]], attention: Sequence[Mapping[str, object]]) -> Path:
    for name, rows in (("mlp.csv", mlp), ("attention.csv", attention)):
        table(folder / name, ",".join(rows[0]), [list(row.values()) for row in rows])
    return folder


def test_vidur_adds_operators_up(tmp_path: Path) -> None:
    operations = (
        *("emb", "input_layernorm", "attn_pre_proj", "attn_rope", "attn_post_proj", "post_attention_layernorm"),
        *("mlp_up_proj", "mlp_act", "mlp_down_proj", "add"),
    )
    mlp = [
        {
            **{f"time_stats.{name}.median": 0.1 * tokens for name in operations},
            "num_tokens": tokens,
            "num_tensor_parallel_workers": workers,
        }
        for tokens, workers in ((1, 1), (4, 1), (1, 2))
    ]
    attention = [
        {
            "time_stats.attn_input_reshape.median": 0.01,
            "time_stats.attn_decode.median": decode,
            "time_stats.attn_output_reshape.median": 0.02,
            "time_stats.attn_prefill.median": prefill,
            "num_tensor_parallel_workers": 1,
            "batch_size": batch,
            "prefill_chunk_size": chunk,
            "kv_cache_size": context,
            "is_prefill": bool(chunk),
        }
        for batch, chunk, context, decode, prefill in (
            (1, 0, 32, 0.5, ""),
            (4, 0, 32, 0.7, ""),
            (1, 4, 0, "", 0.9),
            (1, 4, 32, "", 1.0),
        )
    ]
    found = import_profile(vidur(tmp_path, mlp, attention), "vidur", NAMED).profiles[0]
    assert steps(found) == pytest.approx(
        {
            ("decode", 1, 1, 32): 0.1 + 2 * (0.9 + 0.53),
            ("decode", 4, 1, 32): 0.4 + 2 * (3.6 + 0.73),
            ("prefill", 1, 4, 0): 0.4 + 2 * (3.6 + 0.93),
        }
    )


# All of them


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="splitwise, layer-tables"):
        import_profile(tmp_path, "excel", ImportOptions())


def test_no_citation_is_said(tmp_path: Path) -> None:
    imported = import_profile(splitwise(tmp_path), "splitwise", ImportOptions())
    assert "--cite" in imported.warnings[0]
    assert "not told" in imported.profiles[0].citation


def test_a_single_value_has_no_spread() -> None:
    assert spread([7.0]) == one_value(7.0)
    assert (one_value(7.0).p99, one_value(7.0).p50_low, one_value(7.0).mad) == (7.0, None, None)


def test_interval_of_a_median_by_hand() -> None:
    """Of 6 values, the smallest and largest hold the median but with 2/64; of 5 but with 2/32, which is too much."""
    assert spread([1, 2, 3, 4, 5]).p50_low is None
    six = spread([6, 5, 4, 3, 2, 1])
    assert (six.p50_low, six.p50_high) == (1.0, 6.0)
    # 2·(1 + 9)/512 = 3.9 %: the second smallest of nine; of eight, 2·(1 + 8)/256 = 7 % is too much.
    assert spread(range(1, 10)).p50_low == 2.0
    assert spread(range(1, 9)).p50_low == 1.0


@given(st.integers(6, 200))
def test_interval_of_a_median_is_the_narrowest_that_holds_it(count: int) -> None:
    low, high = spread(range(1, count + 1)).p50_low, spread(range(1, count + 1)).p50_high
    assert low is not None
    assert high == count + 1 - low
    outside = [2 * sum(comb(count, j) for j in range(int(rank))) / 2**count for rank in (low, low + 1)]
    assert outside[0] <= 0.05 < outside[1]


SHIPPED = sorted((Path(__file__).parents[2] / "profiles").glob("*/*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_profiles_say_where_they_are_from(path: Path) -> None:
    profile = load_profile(path)
    assert (profile.device, profile.model) == (path.parent.name, path.stem)
    assert path.stat().st_size < 700_000
    if profile.origin == "imported":
        assert "licence" in (profile.citation or "")
        assert "source_sha256" in (profile.method or {})
        assert (profile.power_source, profile.active_w, profile.idle_w) == ("none", None, None)
        verified = any(point.phase == "decode" and point.new_tokens > 1 for point in profile.points)
        assert verified or "verify" in (profile.method or {})
        # A window asked of a profile without verify steps is never told as if it had been measured.
        assert verified or decode_origin(profile, 1, 5, 575) == "extrapolated"
