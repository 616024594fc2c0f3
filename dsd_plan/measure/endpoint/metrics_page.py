"""What a serving engine counts about itself on its metrics page, read before and after a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

Fact = str | float | int | bool | None

COUNTED: Mapping[str, tuple[str, ...]] = {
    "preemptions": ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total", "sglang:num_retracted_reqs"),
    "prefix_hit_tokens": (
        "vllm:prefix_cache_hits_total",
        "vllm:gpu_prefix_cache_hits_total",
        "sglang:cached_tokens_total",
    ),
    "prefix_queried_tokens": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "server_prompt_tokens": ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "llamacpp:prompt_tokens_total"),
    "server_generated_tokens": (
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "llamacpp:tokens_predicted_total",
    ),
    "spec_rounds": ("vllm:spec_decode_num_drafts_total", "sglang:spec_verify_calls_total"),
    "spec_proposed_tokens": ("vllm:spec_decode_num_draft_tokens_total",),
    "spec_accepted_tokens": ("vllm:spec_decode_num_accepted_tokens_total",),
}
"""What is told as the difference between the two readings, and the names that engines give it."""

RATIOS = {"spec_accept_length", "prefix_hit_rate_gauge"}
"""Of these gauges the mean over label sets is told: two ranks that accept 2.5 tokens do not accept 5."""

GAUGES: Mapping[str, tuple[str, ...]] = {
    "spec_accept_length": ("sglang:spec_accept_length",),
    "prefix_hit_rate_gauge": ("sglang:cache_hit_rate",),
    "max_total_num_tokens": ("sglang:max_total_num_tokens",),
}
"""What is told as it stands in the second reading."""

ACCEPTED_AT = (
    "vllm:spec_decode_num_accepted_tokens_per_pos_total",
    "vllm:spec_decode_num_accepted_tokens_per_pos",
)
CACHE_CONFIG = "vllm:cache_config_info"
CACHE_LABELS = {"num_gpu_blocks": "kv_blocks", "block_size": "kv_block_tokens", "enable_prefix_caching": "prefix_cache"}


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """One reading: values summed over label sets, accepted tokens by position, and labels of the cache's settings."""

    values: Mapping[str, float]
    sets: Mapping[str, int]
    """How many label sets each value is summed over."""
    accepted_at: Mapping[int, float]
    cache: Mapping[str, str]


def read_page(text: str) -> MetricsPage | None:
    """A metrics page in Prometheus' text format; None where it is not one."""
    from prometheus_client.parser import text_string_to_metric_families

    values: dict[str, float] = {}
    sets: dict[str, int] = {}
    accepted_at: dict[int, float] = {}
    cache: dict[str, str] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if not isfinite(sample.value):
                    continue  # What an engine has not counted yet.
                sets[sample.name] = sets.get(sample.name, 0) + 1
                values[sample.name] = values.get(sample.name, 0.0) + float(sample.value)
                position = sample.labels.get("position", "")
                if sample.name in ACCEPTED_AT and position.isdecimal():
                    accepted_at[int(position)] = accepted_at.get(int(position), 0.0) + float(sample.value)
                if sample.name == CACHE_CONFIG:
                    cache = {name: sample.labels[name] for name in CACHE_LABELS if name in sample.labels}
    except (ValueError, KeyError, IndexError):
        return None
    return MetricsPage(values, sets, accepted_at, cache) if values else None


def page_facts(before: MetricsPage, after: MetricsPage) -> dict[str, Fact]:
    """What happened between two readings, for a profile's method; an engine that restarted between them says so."""
    facts: dict[str, Fact] = {}
    restarted = False
    for told, names in COUNTED.items():
        name = next((name for name in names if name in after.values), None)
        if name is not None:
            counted = after.values[name] - before.values.get(name, 0.0)
            restarted = restarted or counted < 0.0
            facts[told] = counted
    if restarted:
        return {"metrics": "counters fell between the two readings: the server restarted"}
    for told, names in GAUGES.items():
        name = next((name for name in names if name in after.values), None)
        if name is not None:
            facts[told] = after.values[name] / (after.sets[name] if told in RATIOS else 1)
    facts |= {told: _number(after.cache[label]) for label, told in CACHE_LABELS.items() if label in after.cache}
    hits, queried = facts.get("prefix_hit_tokens"), facts.get("prefix_queried_tokens")
    if isinstance(hits, float) and isinstance(queried, float) and queried > 0:
        facts["prefix_hit_share"] = round(hits / queried, 4)
    rounds = facts.get("spec_rounds")
    if isinstance(rounds, float) and rounds > 0:
        accepted = facts.get("spec_accepted_tokens")
        if isinstance(accepted, float):
            facts["spec_tokens_per_round"] = round(1.0 + accepted / rounds, 4)
        survival = [
            round((after.accepted_at[at] - before.accepted_at.get(at, 0.0)) / rounds, 4)
            for at in sorted(after.accepted_at)
        ]
        if survival:
            facts["spec_survival"] = ", ".join(f"{share:g}" for share in survival)
    return facts


def speculates(facts: Mapping[str, Fact]) -> bool:
    """Whether the engine itself proposed and verified tokens between the two readings."""
    length = facts.get("spec_accept_length")
    counted = [facts.get(name) for name in ("spec_rounds", "spec_proposed_tokens", "spec_accepted_tokens")]
    return any(isinstance(value, float) and value > 0 for value in counted) or (
        isinstance(length, float) and length > 1.0
    )


def _number(text: str) -> Fact:
    if text in ("True", "False"):
        return text == "True"
    return int(text) if text.isdecimal() else text
