"""What a verdict hangs on: the round trip to the edge, declared acceptance, quantiles that move against the mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dsd_plan.domain.acceptance import DECLARED
from dsd_plan.domain.performance import Performance, WorkloadPerformance
from dsd_plan.domain.scenario import Objective, Pair, Scenario
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.domain.workload import RequestTrace, Workload
from dsd_plan.optimize.alternatives.case import METRIC_WORDS, Case, listed
from dsd_plan.optimize.choices.budgets import interval_of
from dsd_plan.optimize.choices.variation import first_accepted
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.confirmation.confirm import Confirmed
from dsd_plan.optimize.outlook.tipping import A_BUDGET_BREAKS

WORTH_A_WORD = 0.02
"""Relative change of a quantile that a sentence names."""
MOST_WORSE = 2
"""Workloads that a sentence names whose own mean TPOT moves against that over all tokens."""
SET_AGAINST = (("tpot", ("p50", "p95", "p99")), ("ttft", ("p95",)))

WAYS = {
    "target_only": "plain decoding",
    "fused": "drafting beside the target",
    "distributed": "drafting at the edge",
    "pipelined": "drafting ahead at the edge",
}

NO_BETTER: Mapping[Objective, str] = {
    "cost": "it costs no less than plain decoding",
    "energy": "it takes no less energy than plain decoding",
    "tpot": "it is no faster than plain decoding",
    "devices": "it takes no fewer devices than plain decoding",
}

Tips = Sequence[TippingPoint]


def edge_words(case: Case, tips: Tips) -> str:
    """A round from the edge beside plain decoding of as many tokens, and at which round trip the decision changes."""
    if case.edge is None or case.edge.performance is None or case.plain is None:
        return ""
    for candidate in case.edge.choice.candidates:
        if candidate.mode != "distributed":
            continue
        seen = case.edge.performance.workload(candidate.workload)
        plain = case.plain.predicted.workload(candidate.workload).tpot_ms.mean
        parts, tokens = seen.round_parts, seen.tokens_per_round
        if parts is None or tokens is None or plain is None:
            continue
        rtt_ms = parts.uplink_ms + parts.downlink_ms
        round_ms = parts.draft_ms + parts.wait_ms + parts.verify_ms + rtt_ms
        return (
            f"; from the edge, at {number(rtt_ms)} ms round trip a round of window {candidate.window} takes "
            f"{number(round_ms)} ms for {number(tokens)} tokens by the model, "
            f"plain decoding {number(tokens * plain)} ms"
            f"{_round_trip_words(candidate.workload, tips)}"
        )
    return ""


def _round_trip_words(workload: str, tips: Tips) -> str:
    """Where another round trip would change the decision, as the study's tipping point has it."""
    tip = next((tip for tip in tips if tip.input == "rtt_ms" and tip.workload == workload), None)
    if tip is None:
        return ""
    if tip.tips_at is None:
        low, high = tip.searched
        return f"; no round trip from {number(low)} to {number(high)} ms would change the decision"
    if tip.becomes is None or "distributed" not in tip.becomes:
        return ""
    side = "below" if tip.tips_at < tip.now else "above"
    return f"; {side} {number(tip.tips_at)} ms the edge would be chosen"


def declared_pairs(case: Case) -> tuple[Pair, ...]:
    """Pairs whose acceptance was written down, not recorded, of those that the speculative plan drafts with."""
    if case.speculative is None:
        return ()
    used = {(c.draft_model, c.target_model) for c, _ in case.speculative.choice.parts if c.mode != "target_only"}
    return tuple(
        pair
        for pair in case.scenario.pairs
        if (pair.draft, pair.target) in used and isinstance(pair.acceptance, DECLARED)
    )


def nothing_to_draft(scenario: Scenario) -> bool:
    """Whether every answer is one token: a first token is never drafted."""
    return all(output_tokens(workload) <= 1.0 for workload in scenario.workloads)


def output_tokens(workload: Workload) -> float:
    """Mean over the workload's requests."""
    asked = workload.requests
    return float(asked.output_tokens.mean()) if isinstance(asked, RequestTrace) else float(asked.output_tokens)


def condition_words(case: Case, tips: Tips, *, decided: bool) -> str:
    """On which acceptance the answer stands, where that was declared; empty where it was recorded."""
    pairs = () if nothing_to_draft(case.scenario) else declared_pairs(case)
    if not pairs:
        return ""
    clauses = []
    for pair in pairs:
        first = first_accepted(pair.acceptance, 1)
        tip = acceptance_tip(pair, tips)
        turns = ""
        if tip is not None and tip.tips_at is None:
            low, high = tip.searched
            breaks_at = acceptance_that_breaks(pair, tips)
            breaks = "" if breaks_at is None else f"; the plan as it is breaks a budget at {number(breaks_at)}"
            nothing = nothing_saved(tip, case.scenario.search.minimize)
            stays = nothing or f"from {number(low)} to {number(high)} the decision stays"
            turns = f" ({stays}{breaks})"
        if tip is not None and tip.tips_at is not None and tip.becomes is not None:
            becomes = WAYS.get(tip.becomes, tip.becomes)
            before = [nothing] if (nothing := nothing_saved(tip, case.scenario.search.minimize)) else []
            breaks_at = acceptance_that_breaks(pair, tips)
            if breaks_at is not None and abs(breaks_at - tip.now) < abs(tip.tips_at - tip.now):
                before.insert(0, f"at {number(breaks_at)} the plan as it is breaks a budget")
            chosen = "" if tip.becomes == A_BUDGET_BREAKS else " is chosen"
            turns = f" ({', '.join([*before, f'at {number(tip.tips_at)} {becomes}{chosen}'])})"
        clauses.append(f"{pair.target} accepts {number(first)} of {pair.draft}'s first proposals{turns}")
    return f" {'This holds if' if decided else 'Here'} {listed(clauses)}: declared, not recorded."


def nothing_saved(tip: TippingPoint, minimize: Objective) -> str:
    """From which acceptance down drafting is no better than plain decoding, where that is before the decision turns."""
    at = tip.saves_nothing_at
    if at is None or (tip.tips_at is not None and abs(tip.tips_at - tip.now) <= abs(at - tip.now)):
        return ""
    return f"from {number(at)} down {NO_BETTER[minimize]}"


def of_pair(pair: Pair, tips: Tips) -> list[TippingPoint]:
    """The tipping points of the pair's acceptance."""
    found = [tip for tip in tips if tip.input == "acceptance" and tip.of in (None, pair.draft)]
    return [tip for tip in found if tip.target in (None, pair.target)]


def acceptance_tip(pair: Pair, tips: Tips) -> TippingPoint | None:
    """The nearest change of the decision as the pair's acceptance moves."""
    mine = of_pair(pair, tips)
    tipping = [tip for tip in mine if tip.tips_at is not None]
    return min(tipping or mine, key=lambda tip: abs((tip.tips_at or tip.now) - tip.now), default=None)


def acceptance_that_breaks(pair: Pair, tips: Tips) -> float | None:
    """The nearest acceptance of the pair at which the plan as it is breaks a budget; None: nowhere looked at."""
    mine = of_pair(pair, tips)
    breaking = [(abs(at - tip.now), at) for tip in mine if (at := tip.plan_breaks_at) is not None]
    return min(breaking)[1] if breaking else None


def against_words(case: Case) -> str:
    """What moves against mean TPOT by more than both replays leave open; where that is hidden, either way.

    Workloads whose own mean does, where there are several; the worst of TPOT's quantiles; p95 TTFT.
    """
    if case.speculative is None or case.plain is None or case.tpot is None:
        return ""
    lower = case.tpot.point <= 1.0
    hidden = not (case.tpot.surely_below or case.tpot.surely_above)
    found = []
    if len(case.scenario.workloads) > 1:
        means = [words for _, words in sorted(_moved(case.speculative, case.plain, "tpot", ("mean",), rises=lower))]
        found += means[: -MOST_WORSE - 1 : -1]
        if len(means) > MOST_WORSE:
            more = len(means) - MOST_WORSE
            found.append(f"that of {more:,} more workload{'' if more == 1 else 's'} too")
    for metric, statistics in SET_AGAINST:
        for rises in (True, False) if hidden else (lower,):
            moved = sorted(_moved(case.speculative, case.plain, metric, statistics, rises=rises))
            if moved:
                found.append(moved[-1][1])
    if not found:
        return ""
    if hidden:
        return f"; beside that, {listed(found)}"
    return f", but {listed(found)}" if lower else f"; against that, {listed(found)}"


def _moved(
    speculative: Confirmed, plain: Confirmed, metric: str, statistics: Sequence[str], *, rises: bool
) -> Iterator[tuple[float, str]]:
    """(size of the change, words) of each workload's quantiles that surely rise, or fall."""
    one, other = speculative.observed.pooled, plain.observed.pooled
    for workload in one.workloads:
        before = _of(other, workload.name)
        for statistic in statistics:
            mine, others = _interval(workload, metric, statistic), _interval(before, metric, statistic)
            if mine is None or others is None:
                continue
            (now, now_low, now_high), (was, was_low, was_high) = mine, others
            sure = now_low > was_high if rises else now_high < was_low
            if was > 0.0 and sure and abs(now / was - 1.0) > WORTH_A_WORD:
                whose = f" of {workload.name}" if len(one.workloads) > 1 else ""
                verb = "rises" if rises else "falls"
                words = f"{statistic} {METRIC_WORDS[metric]}{whose} {verb} from {number(was)} to {number(now)} ms"
                yield abs(now / was - 1.0), words


def _of(performance: Performance, name: str) -> WorkloadPerformance | None:
    return next((workload for workload in performance.workloads if workload.name == name), None)


def _interval(workload: WorkloadPerformance | None, metric: str, statistic: str) -> tuple[float, float, float] | None:
    """Value, low and high; None where either is not known."""
    value = None if workload is None else getattr(getattr(workload, f"{metric}_ms"), statistic)
    if workload is None or value is None:
        return None
    interval = interval_of(workload, f"{metric}_ms.{statistic}", value)
    return None if interval is None else (value, interval.low, interval.high)
