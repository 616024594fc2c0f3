"""vLLM: counters of its metrics page, blocks in its responses, and results of `vllm bench serve`.

Formats as documented for vLLM 0.32 (per-request metrics) and 0.33 (metrics page, bench); no server was at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.reading import read_file, text_of
from dsd_plan.files.trace_import.histogram import by_position, from_histogram
from dsd_plan.files.trace_import.rounds import RoundsRead
from dsd_plan.files.trace_import.source import (
    Imported,
    ImportOptions,
    counts,
    documents,
    metadata_of,
    nothing_found,
    refuse,
    tables_with,
    whole,
)

DRAFTS = "vllm:spec_decode_num_drafts_total"
PROPOSED = "vllm:spec_decode_num_draft_tokens_total"
ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
ACCEPTED_AT = "vllm:spec_decode_num_accepted_tokens_per_pos_total"

Counters = dict[tuple[str, str], float]
"""By name of the counter and position."""


def read_metrics(path: Path, options: ImportOptions) -> Imported:
    """Prometheus text after a run, and with `--before` what it was before: s_i = per_pos[i − 1] / num_drafts."""
    after = _counters(path, options.group)
    notes = []
    if options.before is None:
        notes.append("no --before: the counters are those since the server's start")
    else:
        before = _counters(options.before, options.group)
        fell = [name for (name, _), value in after.items() if value < before.get((name, _), 0.0)]
        if fell:
            raise TraceError(str(path), f"{fell[0]} is lower than in {options.before}: was the server restarted?")
        after = {key: value - before.get(key, 0.0) for key, value in after.items()}
    rounds = int(after.get((DRAFTS, ""), 0))
    positions = sorted(int(position) for name, position in after if name == ACCEPTED_AT)
    if rounds == 0 or not positions:
        raise nothing_found(path, "vllm-metrics", f"a growing {DRAFTS} and {ACCEPTED_AT}")
    if positions != list(range(len(positions))):
        raise TraceError(str(path), f"{ACCEPTED_AT}: found positions {positions}, expected 0, 1, 2, …")
    metadata = metadata_of(options, str(path), "vLLM metrics")
    kept = [int(after[ACCEPTED_AT, str(position)]) for position in positions]
    proposed = after.get((PROPOSED, ""))
    trace, more = by_position(metadata, rounds, kept, None if proposed is None else int(proposed))
    accepted = after.get((ACCEPTED, ""))
    if accepted is not None and int(accepted) != sum(kept):
        notes.append(
            f"the counters do not agree: {int(accepted):,} drafts accepted in all, {sum(kept):,} over the positions, "
            "which are taken; was the page read while requests ran?"
        )
    return Imported(trace, (*notes, *more))


def _counters(path: Path, group: str | None) -> Counters:
    from prometheus_client.parser import text_string_to_metric_families

    found: Counters = defaultdict(float)
    models = set()
    try:
        for family in text_string_to_metric_families(text_of(read_file(path, TraceError), TraceError)):
            for sample in family.samples:
                model = sample.labels.get("model_name", "")
                if sample.name not in (DRAFTS, PROPOSED, ACCEPTED, ACCEPTED_AT) or (
                    group is not None and model != group
                ):
                    continue
                models.add(model)
                # Several engines behind one page count apart.
                found[sample.name, sample.labels.get("position", "")] += sample.value
    except ValueError as failure:
        raise TraceError(str(path), f"not a Prometheus metrics page: {failure}") from None
    if len(models) > 1:
        raise TraceError(str(path), f"counts several models ({', '.join(sorted(models))}); choose one with --group")
    return dict(found)


def read_responses(path: Path, options: ImportOptions) -> Imported:
    """Responses with `metrics.speculative_decoding`: `detailed` gives rounds, `summary` counts by position."""
    problems: list[Problem] = []
    rounds = RoundsRead()
    histogram: dict[int, int] = defaultdict(int)
    windows: set[int] = set()
    proposed = requests = 0
    for place, block in _blocks(path):
        requests += 1
        window = whole(block.get("num_spec_tokens"), f"{place}.num_spec_tokens", problems)
        drafts = whole(block.get("num_draft_tokens"), f"{place}.num_draft_tokens", problems)
        if block.get("per_step_accepted") is not None:
            rounds.add_lists(block["per_step_drafted"], block["per_step_accepted"], place, problems)
            continue
        steps = counts(block.get("acceptance_histogram"), f"{place}.acceptance_histogram", problems)
        if window is not None and drafts is not None and steps is not None:
            windows.add(window)
            proposed += drafts
            for accepted, count in enumerate(steps):
                histogram[accepted] += count
    refuse(path, problems)
    if not requests:
        raise nothing_found(path, "vllm-responses", "metrics.speculative_decoding in a response")
    if rounds.any() and histogram:
        raise TraceError(str(path), "mixes detailed and summary blocks; import them apart")
    metadata = metadata_of(options, str(path), "vLLM responses")
    if rounds.any():
        return rounds.imported(metadata)
    if len(windows) != 1:
        raise TraceError(str(path), f"mixes windows {sorted(windows)}; import them apart")
    window = windows.pop()
    trace, notes = from_histogram(metadata, [histogram[j] for j in range(window + 1)], window, proposed)
    return Imported(trace, (f"{requests:,} responses, pooled: how much requests differ is not kept", *notes))


def _blocks(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every block, where 0.32 puts it (`metrics`) and where earlier builds did (in the choice)."""
    for line, value in documents(path):
        for key in ("speculative_decoding", "speculative_decoding_stats"):
            for place, holder in tables_with(value, key, line):
                if isinstance(holder[key], dict):
                    yield f"{place}.{key}" if place else key, holder[key]


def read_bench(path: Path, options: ImportOptions) -> Imported:
    """The JSON of `vllm bench serve`: `spec_decode_*`, with acceptance by position where it is told."""
    results = [(place, value) for place, value in documents(path) if isinstance(value, dict)]
    told = [(place, value) for place, value in results if "spec_decode_num_drafts" in value]
    if not told:
        raise nothing_found(path, "vllm-bench", "spec_decode_num_drafts")
    if len(told) > 1:
        raise TraceError(str(path), f"holds {len(told)} results; import one at a time")
    _, result = told[0]
    problems: list[Problem] = []
    rounds = whole(result["spec_decode_num_drafts"], "spec_decode_num_drafts", problems)
    proposed = whole(result.get("spec_decode_draft_tokens"), "spec_decode_draft_tokens", problems)
    rates = result.get("spec_decode_per_position_acceptance_rates")
    if not isinstance(rates, list) or not rates or not all(_is_rate(rate) for rate in rates):
        problems.append(
            Problem("spec_decode_per_position_acceptance_rates", "missing or no list of numbers from 0 to 1")
        )
    refuse(path, problems)
    metadata = metadata_of(options, str(path), "vllm bench serve", target=result.get("model_id"))
    rounds = rounds or 0
    kept = [round(rate * rounds) for rate in rates or ()]
    return Imported(*by_position(metadata, rounds, kept, proposed))


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
