"""What a scenario says, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsd_plan.cli.terminal import say, say_wrapped, show_table
from dsd_plan.report.numbers import given_quantity, label, milliseconds, number

if TYPE_CHECKING:
    from dsd_plan.domain.coverage import PairCoverage, ProfileCoverage, WorkloadCoverage
    from dsd_plan.domain.scenario import FleetBudgets, Scenario
    from dsd_plan.domain.workload import Requests, RequestTrace, Workload

MARKS = {"measured": "●", "interpolated": "◐", "extrapolated": "○", "declared": "–"}
"""How a number is known, as in the report."""

STEPS = (("prefill",), ("decode", "draft"), ("verify",))


def show_scenario(scenario: Scenario, coverage: tuple[WorkloadCoverage, ...]) -> None:
    """What is asked of the fleet and for each workload, what predictions stand on, what drafts are known to achieve."""
    limits = fleet_promises(scenario.budgets)
    if limits:
        say_wrapped(f"budgets of the fleet: {limits}")
    for workload in coverage:
        say()
        show_workload(scenario, workload)
    pairs = {(workload.target, pair) for workload in coverage for pair in workload.pairs}
    for target, pair in sorted(pairs, key=lambda known: (known[0], known[1].draft)):
        say()
        show_pair(target, pair)
    say()
    say_wrapped("steps known for one sequence and for a full batch: " + ", ".join(f"{m} {o}" for o, m in MARKS.items()))


def show_workload(scenario: Scenario, covered: WorkloadCoverage) -> None:
    """What one workload asks for, and what its prediction can stand on."""
    workload = scenario.workload(covered.workload)
    say_wrapped(f"{workload.name} at {workload.site}: {stream(workload.requests)}, for {workload.target}")
    say_wrapped(f"  budgets: {promises(workload)}")
    for route in covered.routes:
        say(f"  route: {' – '.join(route.sites)}, {milliseconds(route.rtt_ms)} there and back")
    show_table(
        ("  role", "device", "model", "prefill", "decode", "verify"),
        [(f"  {p.role}", p.device, p.model, *(known_by(p, steps) for steps in STEPS)) for p in covered.profiles],
        text_columns=3,
    )


def show_pair(target: str, pair: PairCoverage) -> None:
    """Acceptance of a draft over the windows of the search."""
    say_wrapped(f"{pair.draft} proposes for {target}: {pair.source}")
    show_table(
        ("  window", *(str(known.window) for known in pair.windows)),
        [
            ("  all kept", *(number(known.survival) for known in pair.windows)),
            ("  tokens a round", *(number(known.tokens_per_round) for known in pair.windows)),
        ],
    )


def known_by(profile: ProfileCoverage, kinds: tuple[str, ...]) -> str:
    """How steps of these kinds are known at their worst, alone and in a full batch."""
    steps = [step for step in profile.steps if step.step in kinds]
    if not steps:
        return ""
    order = list(MARKS)
    return "".join(
        MARKS[max(found, key=order.index)] for found in zip(*((s.alone, s.full) for s in steps), strict=True)
    )


def gaps(covered: WorkloadCoverage) -> Iterator[str]:
    """What a prediction for this workload may need beyond what was measured."""
    for profile in covered.profiles:
        far = [step for step in profile.steps if "extrapolated" in (step.alone, step.full)]
        if far:
            last = far[-1]
            kinds = " and ".join(dict.fromkeys(step.step for step in far))
            yield (
                f"{profile.device}, {profile.model}: {kinds} steps up to batch {last.batch[1]}, "
                f"{last.new_tokens[1]} new tokens, context {last.context_tokens[1]} reach past the measured points, "
                "where the fitted law extrapolates; measure there, or lower batch_cap or the windows"
            )
    for pair in covered.pairs:
        unknown = [str(known.window) for known in pair.windows if known.survival is None]
        if unknown:
            yield f"{pair.draft} + {covered.target}: acceptance was not measured for window {', '.join(unknown)}"


def promises(workload: Workload) -> str:
    """A workload's budgets in words."""
    budgets = workload.budgets
    found = [f"{metric.upper()} {at} {milliseconds(limit)}" for metric, at, limit in budgets.limits()]
    if budgets.goodput_share is not None:
        found.append(f"{given_quantity('goodput_share', budgets.goodput_share)} of requests within all of them")
    return ", ".join(found) or "none"


def fleet_promises(budgets: FleetBudgets) -> str:
    """Limits on the fleet and on its devices in words; empty where there are none."""
    limits = {"energy_j_per_token": budgets.energy_j_per_token, "cost_per_hour": budgets.cost_per_hour}
    found = [f"{label(key)} {given_quantity(key, limit)}" for key, limit in limits.items() if limit is not None]
    found += [
        f"{label('power_w')} of one {device} {given_quantity('power_w', w)}"
        for device, w in (budgets.power_w or {}).items()
    ]
    return ", ".join(found)


def foreign(scenario: Scenario) -> Iterator[str]:
    """Pairs whose acceptance was recorded with another draft and for another target."""
    for pair in scenario.pairs:
        known = getattr(pair.acceptance, "metadata", None)
        if known is not None and known.draft != pair.draft and known.target != pair.target:
            yield (
                f"{pair.draft} proposes for {pair.target}: its acceptance was recorded with {known.draft} for "
                f"{known.target}, another pair; record this one's (`dsd-plan trace record` or `trace import`), or "
                "take what follows as a what-if"
            )


def recorded(requests: RequestTrace) -> str:
    """A recorded stream: its rate and mean lengths, like a declared one's."""
    count = requests.arrival_s.size
    span_s = float(requests.arrival_s[-1] - requests.arrival_s[0])
    rate = f"{number((count - 1) / span_s)} requests/s" if span_s > 0 else "all at one time"
    lengths = (float(tokens.mean()) for tokens in (requests.prompt_tokens, requests.output_tokens))
    prompt, output = (number(mean) for mean in lengths)
    what = "request" if count == 1 else "requests"
    return f"{rate} ({count:,} recorded {what}), {prompt} tokens in, {output} out on average"


def stream(requests: Requests) -> str:
    """A request stream in words."""
    from dsd_plan.domain.workload import ClosedRequests, PoissonRequests

    if isinstance(requests, PoissonRequests):
        source = f"{number(requests.rate_per_s)} requests/s"
    elif isinstance(requests, ClosedRequests):
        source = f"{requests.users:,} users"
    else:
        return recorded(requests)
    return f"{source}, {requests.prompt_tokens} tokens in, {requests.output_tokens} out"
