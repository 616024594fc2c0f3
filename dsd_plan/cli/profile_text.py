"""What a profile says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import milliseconds, number, share

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile


def describe_profile(file: str, profile: LatencyProfile) -> dict[str, Any]:
    """Its summary, how it was measured, and median decode and verify steps at the smallest context."""
    from dsd_plan.domain.summary import profile_summary

    told = profile_summary(profile)
    return {
        "file": file,
        **told,
        "method": profile.method,
        "weights_gib": profile.weights_gib,
        "kv_mib_per_token": profile.kv_mib_per_token,
        "decode_p50_ms": [] if told["decode"] is None else medians(profile, told["decode"]),
    }


def medians(profile: LatencyProfile, axes: dict[str, list[int]]) -> list[dict[str, Any]]:
    """Median decode and verify steps by batch, at the smallest context; null where a cell was not measured."""
    context = axes["context_tokens"][0]
    found = {
        (point.batch, point.new_tokens): point.latency_ms.p50
        for point in profile.points
        if point.phase == "decode" and point.context_tokens == context
    }
    return [
        {
            "batch": batch,
            "context_tokens": context,
            "by_new_tokens": {str(new): found.get((batch, new)) for new in axes["new_tokens"]},
        }
        for batch in axes["batch"]
    ]


def show_profile(told: dict[str, Any]) -> None:
    """Print what `describe_profile` says."""
    say(f"{told['file']}: {told['model']} on {told['device']}, {told['origin']}")
    made = [told[key] for key in ("backend", "precision", "measured_at") if told[key] is not None]
    if made:
        say(f"  {', '.join(made)}; {told['points']} points, {told['samples']:,} samples")
    for phase in ("decode", "prefill"):
        if told[phase] is not None:
            say(f"  {phase}: " + ", ".join(f"{axis.replace('_', ' ')} {extent(v)}" for axis, v in told[phase].items()))
    law = told["fit"]["law"]
    say(
        f"  law: {number(law['step_ms'])} ms a step, {number(law['per_token_ms'])} ms a token, "
        f"{number(law['per_prompt_token_ms'])} ms a prompt token, {number(law['per_kv_token_us'])} µs a KV token"
    )
    if told["fit"]["mean_error"] is not None:
        mean, most = share(told["fit"]["mean_error"]), share(told["fit"]["max_error"])
        say(f"  the law's error on points left out: {mean} mean, {most} at most; it serves beyond the points only")
    trouble = (told["method"] or {}).get("contention")
    if trouble:
        say(f"  measured on a busy machine: {trouble}")
    rows = told["decode_p50_ms"]
    if rows:
        say(f"  median step by batch and new tokens a sequence, context {rows[0]['context_tokens']}")
        show_table(
            ("  batch", *rows[0]["by_new_tokens"]),
            [(f"  {row['batch']}", *(milliseconds(value) for value in row["by_new_tokens"].values())) for row in rows],
        )


def extent(values: list[int]) -> str:
    """The range of an axis in words: 1–64, or the one value there is."""
    return f"{values[0]}–{values[-1]}" if len(values) > 1 else f"{values[0]}"
