"""The demo's scenario: this machine twice, as a desk that may draft and as a server next door that verifies."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile

PROMPT_TOKENS = 128
OUTPUT_TOKENS = 128
BATCH_CAP = 16
LOAD = 0.3
"""Share of one server's plain decoding capacity, at full batches, that the demo's users ask for."""
TPOT_BUDGET = 3.0
"""Promised p95 TPOT, as a multiple of a plain step of one sequence on this machine."""

SCENARIO = Template("""\
# Written by `dsd-plan demo`. Step times and acceptance are this machine's own; the rest is assumed: two servers like
# this machine, four desks like it in the same building, and traffic that keeps one server at $load % of its capacity.
schema = 1
name = "demo"

[[sites]]
name = "desk"
[[sites]]
name = "server-room"

[[links]]
between = ["desk", "server-room"]
rtt_ms = 0.5
jitter_cv = 0.2

[[models]]
name = "$draft"
weights_gib = $draft_weights_gib
kv_mib_per_token = $draft_kv_mib
[[models]]
name = "$target"
weights_gib = $target_weights_gib
kv_mib_per_token = $target_kv_mib

[[devices]]
name = "desktop"
site = "desk"
count = 4
memory_gib = 4.0
cost_per_hour = 0.02
[devices.profiles]
"$draft" = "$draft_profile"

[[devices]]
name = "server"
site = "server-room"
count = 2
memory_gib = 4.0
batch_cap = $batch_cap
cost_per_hour = 0.20
[devices.profiles]
"$draft" = "$draft_profile"
"$target" = "$target_profile"

[[pairs]]
draft = "$draft"
target = "$target"
acceptance = "$trace"

[[workloads]]
name = "completion"
site = "desk"
target = "$target"
requests = { rate_per_s = $rate_per_s, prompt_tokens = $prompt_tokens, output_tokens = $output_tokens }
budgets = { tpot_p95_ms = $tpot_p95_ms }

[search]
windows = [1, 2, 3, 4, 6]
minimize = "tpot"
""")


def demo_scenario(
    target: LatencyProfile, draft: LatencyProfile, *, target_profile: str, draft_profile: str, trace: str
) -> str:
    """The scenario file's text; load and budget follow from the measured target, so that it fits any machine."""
    from dsd_plan.domain.step_time import decode_ms, surface_of

    surface = surface_of(target)
    context = PROMPT_TOKENS + OUTPUT_TOKENS / 2
    capacity_tokens_per_s = 1000.0 * BATCH_CAP / decode_ms(surface, BATCH_CAP, 1, context)
    return SCENARIO.substitute(
        target=target.model,
        draft=draft.model,
        target_profile=target_profile,
        draft_profile=draft_profile,
        trace=trace,
        target_weights_gib=f"{target.weights_gib or 0:.6f}",
        draft_weights_gib=f"{draft.weights_gib or 0:.6f}",
        target_kv_mib=f"{target.kv_mib_per_token or 0:.6f}",
        draft_kv_mib=f"{draft.kv_mib_per_token or 0:.6f}",
        batch_cap=BATCH_CAP,
        load=round(100 * LOAD),
        rate_per_s=f"{LOAD * capacity_tokens_per_s / OUTPUT_TOKENS:.3f}",
        prompt_tokens=PROMPT_TOKENS,
        output_tokens=OUTPUT_TOKENS,
        tpot_p95_ms=f"{TPOT_BUDGET * decode_ms(surface, 1, 1, context):.3f}",
    )
