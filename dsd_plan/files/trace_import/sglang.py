"""SGLang: `meta_info` of its responses, and the JSONL of its serving benchmark.

Names as of 0.5.12 and later (`spec_num_proposed_drafts`, `spec_correct_drafts_histogram`) and, before that, of
0.5.11 (`spec_proposed_drafts`, `spec_accept_histogram`). Only documentation and pull requests were at hand.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.trace_import.histogram import from_histogram
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

HISTOGRAMS = ("spec_correct_drafts_histogram", "spec_accept_histogram")
PROPOSED = ("spec_num_proposed_drafts", "spec_proposed_drafts")


def read_responses(path: Path, options: ImportOptions) -> Imported:
    """Responses with `meta_info`: how many verify steps kept 0, 1, 2, … drafts, pooled over requests."""
    problems: list[Problem] = []
    histogram: dict[int, int] = defaultdict(int)
    proposed = responses = longest = 0
    for line, value in documents(path):
        for place, info in tables_with(value, "spec_verify_ct", line):
            names = [name for name in HISTOGRAMS if info.get(name)]
            if not names:
                continue
            responses += 1
            steps = counts(info[names[0]], f"{place}.{names[0]}", problems)
            made = next((info[name] for name in PROPOSED if name in info), None)
            drafts = whole(made, f"{place}.{PROPOSED[0]}", problems)
            verified = whole(info["spec_verify_ct"], f"{place}.spec_verify_ct", problems)
            if steps is None or drafts is None or verified is None:
                continue
            if sum(steps) != verified:
                problems.append(Problem(place, f"the histogram counts {sum(steps)} steps, spec_verify_ct {verified}"))
            proposed += drafts
            longest = max(longest, len(steps) - 1)
            for accepted, count in enumerate(steps):
                histogram[accepted] += count
    refuse(path, problems)
    if not responses:
        raise nothing_found(
            path, "sglang-responses", "meta_info with spec_verify_ct and a histogram of accepted drafts"
        )
    rounds = sum(histogram.values())
    window = options.window or _window(proposed, rounds, longest)
    if window is None:
        text = f"{proposed:,} drafts in {rounds:,} steps are no whole window; say --window N if all steps had the same"
        raise TraceError(str(path), text)
    if window < longest:
        raise TraceError(str(path), f"--window {window}: but a step kept {longest} drafts")
    metadata = metadata_of(options, str(path), "SGLang responses")
    trace, notes = from_histogram(metadata, [histogram[j] for j in range(window + 1)], window, proposed)
    return Imported(trace, (f"{responses:,} responses, pooled: how much requests differ is not kept", *notes))


def _window(proposed: int, rounds: int, longest: int) -> int | None:
    """The one window that fits the counts."""
    if rounds and proposed % rounds == 0 and proposed // rounds >= longest:
        return proposed // rounds
    return None


def read_bench(path: Path, options: ImportOptions) -> Imported:
    """A line of the serving benchmark: `accept_length`, the mean tokens a round with the bonus, and nothing else."""
    told = [(place, value) for place, value in documents(path) if isinstance(value, dict)]
    found = [(place, value["accept_length"]) for place, value in told if value.get("accept_length") is not None]
    if not found:
        raise nothing_found(path, "sglang-bench", "accept_length")
    if len(found) > 1:
        raise TraceError(str(path), f"holds {len(found)} runs; keep the line of one")
    place, mean = found[0]
    if isinstance(mean, bool) or not isinstance(mean, int | float) or mean < 1:
        raise TraceError(
            str(path), [Problem(f"{place} accept_length", f"found {mean!r}, expected a number, 1 or more")]
        )
    metadata = metadata_of(options, str(path), "SGLang bench_serving")
    trace = AcceptanceCounts(metadata=metadata, tokens_per_round=float(mean), window=options.window)
    return Imported(trace, ("tells the mean alone: no counts, so no interval, and no acceptance by position",))
