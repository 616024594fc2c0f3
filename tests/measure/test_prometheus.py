"""Counters of serving engines, read twice."""

from __future__ import annotations

from dsd_plan.measure.endpoint.metrics_page import page_facts, read_page, speculates

BEFORE = """# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{engine="0"} 2.0
vllm:num_preemptions_total{engine="1"} 1.0
vllm:spec_decode_num_drafts_total 10.0
vllm:spec_decode_num_draft_tokens_total 30.0
vllm:spec_decode_num_accepted_tokens_total 15.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 9.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 6.0
"""
AFTER = """vllm:num_preemptions_total{engine="0"} 2.0
vllm:num_preemptions_total{engine="1"} 4.0
vllm:spec_decode_num_drafts_total 110.0
vllm:spec_decode_num_draft_tokens_total 330.0
vllm:spec_decode_num_accepted_tokens_total 135.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 89.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 46.0
vllm:cache_config_info{block_size="16",num_gpu_blocks="2048",enable_prefix_caching="False"} 1.0
"""


def facts(before: str, after: str) -> dict[str, object]:
    first, last = read_page(before), read_page(after)
    assert first is not None
    assert last is not None
    return dict(page_facts(first, last))


def test_differences_summed_over_engines() -> None:
    found = facts(BEFORE, AFTER)
    assert found["preemptions"] == 3.0
    assert found["spec_rounds"] == 100.0
    assert found["spec_accepted_tokens"] == 120.0
    assert found["spec_tokens_per_round"] == 2.2
    assert found["spec_survival"] == "0.8, 0.4"
    assert found["kv_blocks"] == 2048
    assert found["prefix_cache"] is False


def test_who_speculates() -> None:
    first, last = read_page(BEFORE), read_page(AFTER)
    assert first is not None
    assert last is not None
    assert speculates(page_facts(first, last))
    assert not speculates(page_facts(last, last))
    gauge = read_page("sglang:spec_accept_length 2.4\n")
    assert gauge is not None
    assert speculates(page_facts(gauge, gauge))


def test_restart_between_the_readings_is_said() -> None:
    assert "restarted" in str(facts(AFTER, BEFORE)["metrics"])


def test_what_is_no_metrics_page() -> None:
    assert read_page("<html>nothing here</html>") is None
    assert read_page("") is None


def test_what_an_engine_has_not_counted_yet_is_left_out() -> None:
    page = "sglang:spec_accept_length NaN\nsglang:cache_hit_rate 0.5\nvllm:num_preemptions_total NaN\n"
    assert facts(page, page) == {"prefix_hit_rate_gauge": 0.5}


def test_ratios_are_means_over_ranks_and_counts_are_sums() -> None:
    page = "".join(
        f'sglang:spec_accept_length{{dp_rank="{rank}"}} {length}\n'
        f'sglang:max_total_num_tokens{{dp_rank="{rank}"}} 1000\n'
        for rank, length in ((0, 2.5), (1, 3.5))
    )
    assert facts(page, page) == {"spec_accept_length": 3.0, "max_total_num_tokens": 2000.0}
