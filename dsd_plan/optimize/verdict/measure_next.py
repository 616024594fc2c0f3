"""The measurement that would help a decision most, with its command, and how much of it is enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from dsd_plan.domain.measurement import Measurement
from dsd_plan.domain.ngrams import costs_nothing
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study import AcceptanceEvidence
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.optimize.alternatives.case import Case, listed
from dsd_plan.optimize.choices.variation import first_accepted
from dsd_plan.optimize.choices.words import number, percent
from dsd_plan.optimize.confirmation.backcast import measure_next as measure_today
from dsd_plan.optimize.confirmation.compare import NOTHING_KNOWN
from dsd_plan.optimize.confirmation.confirm import Confirmed
from dsd_plan.optimize.confirmation.evidence import LEVEL_Z, acceptance_evidence
from dsd_plan.optimize.verdict.hinges import (
    acceptance_that_breaks,
    acceptance_tip,
    declared_pairs,
    nothing_saved,
    of_pair,
    output_tokens,
)

ALIKE = 0.05
"""Correlation of rounds of one request that a recording is planned with: what one says of the next."""
FINEST, COARSEST = 0.002, 0.05
"""Half-widths between which an acceptance is recorded: the finest takes some ten thousand requests."""
CLOSE = 0.03
"""Difference in mean TPOT below which, at the same objective, either way may be taken."""
FINEST_OF_CLOSE = 0.01
"""Finer an acceptance is not recorded where little hangs on it."""
FEWEST_REQUESTS = 30
"""With fewer a recording tells more of its requests than of the traffic."""
PROFILE_MINUTES = 4.5
"""Of `profile device` a model: its full grid's limit."""
PROFILE_ERROR = 0.03
"""To which it knows its medians."""
REPLAYED = 100
"""Requests of a replay are told in these."""
WARM = 0.6
"""Share of a replication that is measured, roughly."""


@dataclass(frozen=True, slots=True)
class Next:
    """What to do, and what it is."""

    words: str
    measurement: Measurement | None


def declared_next(case: Case, tips: Sequence[TippingPoint]) -> Next | None:
    """Of what was written down and may change the decision: acceptance first, then step times; None without any.

    What `tips` says changes nothing within the range searched is not asked for.
    """
    pairs = _deciding_pairs(case, tips)
    if pairs:
        return _record(case, pairs[0], tips)
    declared = [d for d in _declared_steps(case.scenario, _plans(case)) if _matters(tips, "step_time", d[0])]
    return _profile(declared) if declared else None


def alone_next(scenario: Scenario, plans: Sequence[Confirmed]) -> Next:
    """Of a draft that answers alone: its text is taken to do, which nothing here measures; then declared step times.

    `plans`: that plan and the one that it was chosen before.
    """
    steps = _profile(_declared_steps(scenario, plans))
    quality = (
        "Score the draft's own answers against the target's on your users' tasks: that its text will do is your word, "
        "and nothing here measures it."
    )
    return Next(quality, None) if steps is None else Next(f"{quality} {steps.words}", steps.measurement)


def _plans(case: Case) -> tuple[Confirmed, ...]:
    return tuple(plan for plan in (case.speculative, case.plain) if plan is not None)


def _deciding_pairs(case: Case, tips: Sequence[TippingPoint]) -> list[Pair]:
    return [pair for pair in declared_pairs(case) if _matter(of_pair(pair, tips))]


def _matters(tips: Sequence[TippingPoint], what: str, of: str) -> bool:
    """Whether an input may change the decision or break the plan; true where that was not looked into."""
    return _matter([tip for tip in tips if tip.input == what and tip.of in (None, of)])


def _matter(tips: Sequence[TippingPoint]) -> bool:
    turning = ((tip.tips_at, tip.plan_breaks_at, tip.saves_nothing_at) for tip in tips)
    return not tips or any(at is not None for values in turning for at in values)


def deciding_next(case: Case, tips: Sequence[TippingPoint]) -> Next | None:
    """Against the largest part of the error that hides the difference: of mean TPOT, or of what breaks a budget."""
    if case.backcast is not None and case.backcast.saturates is not None:
        return _todays_steps(case, case.backcast.saturates)
    if case.tpot is None:
        return declared_next(case, tips)
    # Energy has a ratio of its own; what keeps a price open is the latency of plans near their budgets.
    ratio = case.objective if case.objective is not None and case.objective.errors else case.tpot
    errors = ratio.errors
    largest = max(errors, key=lambda name: errors[name], default="replay")
    gain = max(abs(1.0 - ratio.point) if case.doubt is None else case.doubt.miss, 0.005)
    if largest == "backcast" and case.backcast is not None:
        minutes = PROFILE_MINUTES * len({(d.device, d.model) for d in case.backcast.plan.deployments})
        command = "dsd-plan profile device"
        return Next(
            measure_today(errors[largest], gain),
            Measurement(
                of="step_times", command=command, minutes=minutes, error_now=errors[largest], error_wanted=gain
            ),
        )
    if _deciding_pairs(case, tips):
        return declared_next(case, tips)
    if largest == "acceptance":
        return _record_more(case, errors[largest], gain)
    if largest == "model":
        return _run_both(case, errors[largest], gain)
    return _replay_more(case, errors[largest], gain)


def _todays_steps(case: Case, device: str) -> Next:
    """What has to be mended before anything can be said: the scenario of a system that is in service."""
    command = f"dsd-plan profile device --backend torch --model FOLDER --device {device}"
    words = (
        f"Measure the step times of {device} (`{command}`) and count its devices and today's load again: under the "
        "model it saturates, and in service it does not."
    )
    return Next(words, Measurement(of="step_times", command=command, minutes=PROFILE_MINUTES, error_now=NOTHING_KNOWN))


def recording(share: float, error: float, rounds: float, output_tokens: float) -> tuple[int, int]:
    """(requests, tokens) after which an acceptance near `share` is known to ± `error`, at 95 %.

    z² p(1 − p)/d² independent rounds, and more where the rounds of one request are alike:
    1 + (rounds − 1)·ρ as many (Kish 1965, the design effect of clusters), ρ assumed.
    """
    independent = LEVEL_Z**2 * share * (1.0 - share) / error**2
    requests = max(FEWEST_REQUESTS, ceil(independent * (1.0 + (rounds - 1.0) * ALIKE) / rounds))
    return requests, ceil(requests * output_tokens)


def _record(case: Case, pair: Pair, tips: Sequence[TippingPoint]) -> Next:
    share = first_accepted(pair.acceptance, 1)
    tip = acceptance_tip(pair, tips)
    at, what = (None, "") if tip is None else _turning(case, pair, tip, tips)
    distance = None if tip is None or at is None else abs(at - tip.now)
    either = _either(case)
    finest = FINEST_OF_CLOSE if either else FINEST
    wanted = COARSEST if distance is None else min(max(distance / 2.0, finest), COARSEST)
    output, rounds = _lengths(case, pair)
    known = min(max(share, 0.05), 0.95)
    requests, tokens = recording(known, wanted, rounds, output)
    command = (
        f"dsd-plan trace record --target FOLDER --draft FOLDER --requests {requests} "
        f"--output-tokens {max(2, round(output))} -o acceptance.parquet"
    )
    why = ""
    if at is not None and distance is not None:
        turns = number(at)
        if distance / 2.0 > COARSEST:
            why = f"; {what} at {turns}"
        elif distance / 2.0 >= finest:
            why = f", half of the way to {turns}, where {what}"
        else:
            enough = "" if distance <= 0.0 else f", about {recording(known, distance / 2.0, rounds, output)[0]:,} would"
            why = f"; that does not decide, for {what} at {turns} already{enough}{either}"
    words = (
        f"Acceptance of {pair.draft} by {pair.target} is declared ({number(share)}), not recorded: "
        f"`{command}`, or `dsd-plan trace score` on as many logged completions; {requests:,} requests "
        f"({tokens:,} tokens) tell it to ± {number(wanted)}{why}."
    )
    return Next(
        words,
        Measurement(of="acceptance", command=command, requests=requests, tokens=tokens, error_wanted=wanted),
    )


def _either(case: Case) -> str:
    """That little is lost whichever way is taken, where it is."""
    objective = case.objective
    level = case.scenario.search.minimize == "tpot" or (objective is not None and objective.point == 1.0)
    if not level or case.tpot is None or abs(case.tpot.point - 1.0) > CLOSE:
        return ""
    return f"; either way may be taken, {percent(abs(case.tpot.point - 1.0))} of mean TPOT lies between them"


def _turning(case: Case, pair: Pair, tip: TippingPoint, tips: Sequence[TippingPoint]) -> tuple[float | None, str]:
    """The acceptance that a recording has to tell today's from, and what happens there."""
    if nothing_saved(tip, case.scenario.search.minimize):
        return tip.saves_nothing_at, "nothing is saved any more"
    if tip.tips_at is not None:
        return tip.tips_at, "the decision changes"
    return acceptance_that_breaks(pair, tips), "the plan as it is breaks a budget"


def _lengths(case: Case, pair: Pair) -> tuple[float, float]:
    """Output tokens and rounds of a request of the workloads that the pair serves, in the speculative plan's replay."""
    assert case.speculative is not None
    mine = [c.workload for c, _ in case.speculative.choice.parts if c.draft_model == pair.draft]
    workload = next(w for w in case.scenario.workloads if w.name in mine)
    output = output_tokens(workload)
    seen = case.speculative.observed.pooled.workload(workload.name)
    return output, max(1.0, (output - 1.0) / (seen.tokens_per_round or 1.0))


def _record_more(case: Case, error: float, gain: float) -> Next:
    used = {(c.draft_model, c.target_model) for plan in _plans(case) for c in plan.choice.candidates}
    evidence = [e for e in acceptance_evidence(case.scenario) if e.requests and (e.draft, e.target) in used]
    now = min(evidence, key=lambda e: e.requests or 0)
    requests, tokens = now.requests or 1, now.tokens or 0
    wanted = max(ceil(requests * (error / gain) ** 2), 2 * requests)
    command = f"dsd-plan trace record --target FOLDER --draft FOLDER --requests {wanted} -o acceptance.parquet"
    words = (
        f"Record acceptance{_of(now, len(evidence))} of about {wanted:,} requests instead of {requests:,}: its error "
        f"of {percent(error)} hides the difference of {percent(gain)}. `{command}`"
    )
    more = ceil(tokens * wanted / requests) or None
    return Next(
        words,
        Measurement(of="acceptance", command=command, requests=wanted, tokens=more, error_now=error, error_wanted=gain),
    )


def _declared_steps(scenario: Scenario, plans: Sequence[Confirmed]) -> list[tuple[str, str]]:
    """Devices with the models that a plan runs there, whose step times were written down."""
    used = {
        (device, model)
        for plan in plans
        for c, _ in plan.choice.parts
        for device, model in ((c.target_device, c.target_model), (c.draft_device, c.draft_model))
        if device is not None and model is not None
    }
    return [
        (device.name, model)
        for device in scenario.devices
        for model, profile in device.profiles.items()
        if (device.name, model) in used and profile.origin == "declared" and not costs_nothing(profile)
    ]


def _profile(declared: Sequence[tuple[str, str]]) -> Next | None:
    if not declared:
        return None
    device = declared[0][0]
    command = f"dsd-plan profile device --backend torch --model FOLDER --device {device}"
    minutes = PROFILE_MINUTES * len(declared)
    names = listed([f"{model} on {name}" for name, model in declared])
    words = (
        f"Step times of {names} are declared, not measured: `{command}` there, about {number(PROFILE_MINUTES)} minutes "
        f"a model, knows them to {percent(PROFILE_ERROR)}."
    )
    return Next(words, Measurement(of="step_times", command=command, minutes=minutes, error_wanted=PROFILE_ERROR))


def _of(evidence: AcceptanceEvidence, others: int) -> str:
    return f" of {evidence.draft} by {evidence.target}" if others > 1 else ""


def _run_both(case: Case, error: float, gain: float) -> Next:
    """Model and replay disagree about the ratio: only the real thing tells, request by request."""
    assert case.speculative is not None
    spread = max(_spread(case, plan.observed.pooled.workloads[0].name) for plan in (case.speculative,))
    requests = max(FEWEST_REQUESTS, ceil(2.0 * (LEVEL_Z * spread / (gain / 2.0)) ** 2))
    command = "dsd-plan profile endpoint URL"
    words = (
        f"Run both plans on the real devices, about {requests:,} requests each (TPOT of a request varies by "
        f"{percent(spread)}): model and replay differ by {percent(error)} about their ratio, more than the difference "
        f"of {percent(gain)} between them. `{command}` measures the target's step times from outside first."
    )
    return Next(
        words,
        Measurement(of="both_plans", command=command, requests=requests, error_now=error, error_wanted=gain / 2.0),
    )


def _spread(case: Case, workload: str) -> float:
    """Standard deviation of a request's TPOT over its mean, from the replayed p95 as if it were normal."""
    assert case.speculative is not None
    tpot = case.speculative.observed.pooled.workload(workload).tpot_ms
    if not tpot.mean or tpot.p95 is None:
        return 0.3
    return max((tpot.p95 / tpot.mean - 1.0) / 1.645, 0.02)


def _replay_more(case: Case, error: float, gain: float) -> Next:
    assert case.speculative is not None
    runs = len(case.speculative.observed.runs)
    if error >= NOTHING_KNOWN:
        command = "dsd-plan optimize SCENARIO --replications 8"
        words = (
            "Replay at least two replications: one leaves no interval to judge a difference by. "
            f"`{command}` plays eight."
        )
        return Next(words, Measurement(of="replay", command=command, error_now=error, error_wanted=gain))
    measured = sum(workload.requests or 0 for workload in case.speculative.observed.pooled.workloads)
    factor = max(4.0, (error / gain) ** 2)
    requests = ceil(factor * measured / max(runs, 1) / WARM / REPLAYED) * REPLAYED
    command = f"dsd-plan optimize SCENARIO --requests {requests}"
    words = (
        f"Replay with about {ceil(factor):,} times as many requests: the replay's own error of {percent(error)} hides "
        f"the difference of {percent(gain)}. `{command}`"
    )
    return Next(
        words,
        Measurement(of="replay", command=command, requests=requests, error_now=error, error_wanted=gain),
    )
