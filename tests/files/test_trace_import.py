"""Acceptance of other tools: what each file tells, what it does not, and what is wrong with it. All files made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TokenTrace, survival_by_position, tokens_per_round
from dsd_plan.errors import TraceError
from dsd_plan.files.trace_import import KINDS, Imported, ImportOptions, import_trace

PER_POSITION = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
PAIR: dict[str, Any] = {"draft": "small", "target": "big", "proposal": "argmax"}


def read(kind: str, path: Path, **options: Any) -> Imported:
    found = next(each for each in KINDS if each.name == kind)
    return import_trace(path, found, ImportOptions(**(PAIR | options)))


def counts(kind: str, path: Path, **options: Any) -> AcceptanceCounts:
    trace = read(kind, path, **options).trace
    assert isinstance(trace, AcceptanceCounts)
    return trace


def saved(folder: Path, name: str, *values: Any) -> Path:
    path = folder / name
    text = "\n".join(json.dumps(value) for value in values) if name.endswith("l") else json.dumps(values[0])
    path.write_text(text, encoding="utf-8")
    return path


def metrics(folder: Path, name: str, drafts: int, proposed: int, at: list[int], model: str = "m") -> Path:
    label = f'engine="0",model_name="{model}"'
    lines = [
        "# TYPE vllm:spec_decode_num_drafts counter",
        f"vllm:spec_decode_num_drafts_total{{{label}}} {drafts}",
        "# TYPE vllm:spec_decode_num_draft_tokens counter",
        f"vllm:spec_decode_num_draft_tokens_total{{{label}}} {proposed}",
        "# TYPE vllm:spec_decode_num_accepted_tokens_per_pos counter",
        *(
            f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{{label},position="{i}"}} {n}'
            for i, n in enumerate(at)
        ),
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{label}}} 3",
    ]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_vllm_counters_are_differences(tmp_path: Path) -> None:
    before = metrics(tmp_path, "before.txt", 100, 300, [80, 60, 40])
    after = metrics(tmp_path, "after.txt", 300, 900, [240, 160, 80])
    found = counts("vllm-metrics", after, before=before)
    assert (found.reached, found.kept) == ((200, 200, 200), (160, 100, 40))
    assert survival_by_position(found, 3).tolist() == [0.8, 0.5, 0.2]
    assert tokens_per_round(found, 3) == pytest.approx(2.5)
    alone = read("vllm-metrics", after)
    assert any("since the server's start" in note for note in alone.notes)
    with pytest.raises(TraceError, match="was the server restarted"):
        read("vllm-metrics", before, before=after)


def test_vllm_totals_that_contradict_the_positions_are_said(tmp_path: Path) -> None:
    page = metrics(tmp_path, "m.txt", 100, 300, [80, 60, 40])
    total = 'vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"}'
    head = page.read_text(encoding="utf-8") + "# TYPE vllm:spec_decode_num_accepted_tokens counter\n"
    for accepted, said in ((180, False), (185, True)):
        page.write_text(f"{head}{total} {accepted}\n", encoding="utf-8")
        notes = read("vllm-metrics", page).notes
        assert any("185 drafts accepted in all, 180 over the positions" in note for note in notes) is said


def test_vllm_counters_of_changing_windows_tell_no_positions(tmp_path: Path) -> None:
    found = counts("vllm-metrics", metrics(tmp_path, "m.txt", 100, 200, [80, 60, 40]))
    assert (found.reached, found.rounds, found.proposed, found.accepted) == ((), 100, 200, 180)


def test_vllm_counters_of_two_models_are_asked_about(tmp_path: Path) -> None:
    one = metrics(tmp_path, "one.txt", 10, 10, [5], "a")
    two = metrics(tmp_path, "two.txt", 20, 20, [5], "b")
    both = tmp_path / "both.txt"
    both.write_text(one.read_text(encoding="utf-8") + two.read_text(encoding="utf-8").replace("# TYPE", "# also"))
    with pytest.raises(TraceError, match=r"counts several models \(a, b\); choose one with --group"):
        read("vllm-metrics", both)
    assert counts("vllm-metrics", both, group="b").reached == (20,)


def response(accepted: list[int], window: int = 3, *, detailed: bool = False) -> dict[str, Any]:
    block: dict[str, Any] = {
        "acceptance_histogram": [accepted.count(j) for j in range(window + 1)],
        "num_spec_steps": len(accepted),
        "num_accepted_draft_tokens": sum(accepted),
        "num_draft_tokens": window * len(accepted),
        "num_spec_tokens": window,
    }
    if detailed:
        block |= {"per_step_accepted": accepted, "per_step_drafted": [window] * len(accepted)}
    return {"choices": [{"text": "…"}], "metrics": {"speculative_decoding": block}}


def test_vllm_summaries_are_pooled_and_details_stay_rounds(tmp_path: Path) -> None:
    lists = [[0, 3, 1], [2, 2, 0, 3]]
    pooled = counts("vllm-responses", saved(tmp_path, "s.jsonl", *(response(each) for each in lists)))
    rounds = read(
        "vllm-responses", saved(tmp_path, "d.jsonl", *(response(each, detailed=True) for each in lists))
    ).trace
    assert isinstance(rounds, RoundTrace)
    assert rounds.request_id.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert rounds.accepted.tolist() == [0, 3, 1, 2, 2, 0, 3]
    assert pooled.reached == (7, 7, 7)
    assert survival_by_position(pooled, 3).tolist() == survival_by_position(rounds, 3).tolist()
    with pytest.raises(TraceError, match="mixes detailed and summary"):
        read("vllm-responses", saved(tmp_path, "m.jsonl", response([1]), response([1], detailed=True)))


def test_accepted_above_proposed_is_named_with_its_place(tmp_path: Path) -> None:
    bad = response([1, 2], detailed=True)
    bad["metrics"]["speculative_decoding"]["per_step_drafted"] = [3, 1]
    with pytest.raises(TraceError, match=r"line 1\.metrics\.speculative_decoding, round 1: accepted 2 of 1 proposed"):
        read("vllm-responses", saved(tmp_path, "d.jsonl", bad))


def test_steps_without_a_proposal_are_left_out_and_counted(tmp_path: Path) -> None:
    quiet = response([1, 0], detailed=True)
    quiet["metrics"]["speculative_decoding"]["per_step_drafted"] = [3, 0]
    found = read("vllm-responses", saved(tmp_path, "d.jsonl", quiet))
    assert isinstance(found.trace, RoundTrace)
    assert found.trace.proposed.tolist() == [3]
    assert "1 steps proposed nothing and are left out" in found.notes


def test_vllm_bench_rates_become_counts(tmp_path: Path) -> None:
    result = {
        "model_id": "big",
        "spec_decode_num_drafts": 1000,
        "spec_decode_draft_tokens": 2000,
        "spec_decode_accepted_tokens": 1100,
        "spec_decode_per_position_acceptance_rates": [0.7, 0.4],
    }
    path = saved(tmp_path, "bench.json", result)
    assert counts("vllm-bench", path, target=None).kept == (700, 400)
    assert counts("vllm-bench", path, target=None).metadata.target == "big"
    with pytest.raises(TraceError, match="per_position_acceptance_rates: missing"):
        read("vllm-bench", saved(tmp_path, "b.json", {"spec_decode_num_drafts": 3, "spec_decode_draft_tokens": 6}))


@pytest.mark.parametrize(
    ("histogram", "proposed"),
    [
        ("spec_correct_drafts_histogram", "spec_num_proposed_drafts"),
        ("spec_accept_histogram", "spec_proposed_drafts"),
    ],
)
def test_sglang_histograms_of_both_names(tmp_path: Path, histogram: str, proposed: str) -> None:
    def info(steps: list[int]) -> dict[str, Any]:
        return {"meta_info": {"spec_verify_ct": sum(steps), histogram: steps, proposed: 3 * sum(steps)}}

    found = counts("sglang-responses", saved(tmp_path, "r.jsonl", info([2, 1, 0, 1]), info([0, 0, 1])))
    assert (found.reached, found.kept) == ((5, 5, 5), (3, 2, 1))
    wrong = info([2, 1, 0, 1])
    wrong["meta_info"]["spec_verify_ct"] = 9
    with pytest.raises(TraceError, match="the histogram counts 4 steps, spec_verify_ct 9"):
        read("sglang-responses", saved(tmp_path, "w.jsonl", wrong))


def test_sglang_bench_tells_a_mean_alone(tmp_path: Path) -> None:
    found = counts("sglang-bench", saved(tmp_path, "b.jsonl", {"backend": "sglang", "accept_length": 2.75}))
    assert (found.tokens_per_round, found.reached, found.accepted) == (2.75, (), None)


def test_llama_cpp_totals_by_group(tmp_path: Path) -> None:
    def run(label: str, *drafts: tuple[int, int]) -> dict[str, Any]:
        records = [{"id": "x", "draft_n": made, "draft_n_accepted": kept} for made, kept in drafts]
        return {"method": label, "records": [*records, {"id": "y", "draft_n": None, "draft_n_accepted": None}]}

    path = saved(tmp_path, "r.json", {"runs": [run("half-b", (10, 4), (20, 16)), run("three-b", (5, 5))]})
    with pytest.raises(TraceError, match="choose one with --group: 'half-b', 'three-b'"):
        read("llama.cpp-responses", path)
    found = counts("llama.cpp-responses", path, group="half-b")
    assert (found.proposed, found.accepted, found.rounds, found.reached) == (30, 20, None, ())
    one = saved(tmp_path, "one.jsonl", {"timings": {"draft_n": 7, "draft_n_accepted": 9}})
    with pytest.raises(TraceError, match=r"line 1\.timings: accepted 9 of 7 drafts"):
        read("llama.cpp-responses", one)


def test_llama_cpp_log_lines_old_and_new(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text(
        "slot print_timing: id 0 | draft acceptance rate = 0.57576 (  171 accepted /   297 generated)\r\n"
        "noise\n"
        "0.11 I slot print_timing: id  0 | draft acceptance = 0.84783 (   39 accepted /    46 generated), mean len\n"
    )
    found = counts("llama.cpp-log", path)
    assert (found.proposed, found.accepted) == (343, 210)
    empty = tmp_path / "other.log"
    empty.write_text("nothing of it\n")
    with pytest.raises(TraceError, match=r"holds nothing that --from llama\.cpp-log reads"):
        read("llama.cpp-log", empty)


def test_aiperf_needs_the_window_that_it_does_not_tell(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.json", {"pooled_spec_decode_acceptance_histogram": {"0": 2, "2": 6}})
    with pytest.raises(TraceError, match="--window: the source does not tell"):
        read("aiperf", path)
    with pytest.raises(TraceError, match="--window: 1: but a round kept 2 drafts"):
        read("aiperf", path, window=1)
    found = counts("aiperf", path, window=4)
    assert (found.reached, found.kept) == ((8, 8, 8, 8), (6, 6, 0, 0))


def test_spec_bench_lengths_hold_the_bonus(tmp_path: Path) -> None:
    answers = [
        {"category": "qa", "choices": [{"accept_lengths": [1, 4, 3]}]},
        {"category": "math", "choices": [{"accept_lengths": [5]}]},
    ]
    path = saved(tmp_path, "s.jsonl", *answers)
    found = read("spec-bench", path, window=4).trace
    assert isinstance(found, RoundTrace)
    assert found.accepted.tolist() == [0, 3, 2, 4]
    assert found.proposed.tolist() == [4] * 4
    assert found.task is not None
    assert found.task.tolist() == ["qa", "qa", "qa", "math"]
    with pytest.raises(TraceError, match="accepted 4 of 3 proposed"):
        read("spec-bench", path, window=3)


def test_eagle_counts_the_round_with_number_zero(tmp_path: Path) -> None:
    answer = {"model_id": "head", "choices": [{"idxs": [9, 4], "new_tokens": [30, 21], "wall_time": [1, 2]}]}
    found = counts("eagle", saved(tmp_path, "e.jsonl", answer), draft=None)
    assert (found.rounds, found.accepted, found.metadata.draft) == (15, 36, "head")
    none = {"choices": [{"idxs": [9], "new_tokens": [0]}]}
    with pytest.raises(TraceError, match="holds nothing that --from eagle reads"):
        read("eagle", saved(tmp_path, "n.jsonl", none))


def test_dsd_sim_flags_are_prefixes(tmp_path: Path) -> None:
    steps = [{"accepted_flags": [True, True, False]}, {"accepted_flags": [False]}]
    found = read("dsd-sim-acceptance", saved(tmp_path, "d.jsonl", {"iterations": steps})).trace
    assert isinstance(found, RoundTrace)
    assert (found.proposed.tolist(), found.accepted.tolist()) == ([3, 1], [2, 0])
    gap = {"iterations": [{"accepted_flags": [False, True]}]}
    with pytest.raises(TraceError, match="a draft is accepted after a rejected one"):
        read("dsd-sim-acceptance", saved(tmp_path, "g.jsonl", gap))


def test_plain_tables_get_their_metadata_from_the_options(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("request_id,position,match\r\n0,0,1\n0,1,0\r\n", encoding="utf-8")
    found = read("acceptance-table", path, temperature=0.7).trace
    assert isinstance(found, TokenTrace)
    assert found.match.tolist() == [1, 0]
    assert (found.metadata.draft, found.metadata.temperature, found.metadata.tokenizer_hash) == (
        "small",
        0.7,
        "not told",
    )


def test_what_nobody_said_is_asked_for_all_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path, "d.jsonl", response([1], detailed=True))
    with pytest.raises(TraceError) as caught:
        read("vllm-responses", path, draft=None, target=None, proposal=None)
    for option in ("--draft", "--target", "--proposal"):
        assert option in str(caught.value)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.yields == "acceptance"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\xff\xfe binary", b'{"half": [1, 2', b'{"other": 1}\n{"tool": 2}\n']
)
def test_a_file_of_something_else_is_one_clear_error(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read(kind, path, window=3)
    assert str(path) in str(caught.value)


def test_unverified_sources_say_so_and_checked_ones_do_not(tmp_path: Path) -> None:
    told = read("vllm-responses", saved(tmp_path, "d.jsonl", response([1], detailed=True)))
    assert "unverified" in told.notes[0]
    answer = {"choices": [{"idxs": [0], "new_tokens": [3]}]}
    assert not any("unverified" in note for note in read("eagle", saved(tmp_path, "e.jsonl", answer)).notes)
