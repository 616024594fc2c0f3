"""Does speculation pay here? Yes, no, or undecided, in a sentence with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Literal

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.hours import varies
from dsd_plan.domain.measurement import Measurement
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Verdict
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.optimize.alternatives.case import METRIC_WORDS, NOT_SEARCHED, Case, mean_tpot_words
from dsd_plan.optimize.choices.budgets import interval_of
from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total, site_copies
from dsd_plan.optimize.choices.choice import EDGE_MODES
from dsd_plan.optimize.choices.words import number, percent
from dsd_plan.optimize.confirmation.backcast import widened, widened_value
from dsd_plan.optimize.confirmation.compare import Ratio
from dsd_plan.optimize.confirmation.confirm import Confirmed
from dsd_plan.optimize.confirmation.counted import ACCEPT, counted_counts, counted_ratio, set_free
from dsd_plan.optimize.verdict.hinges import against_words, condition_words, edge_words, nothing_to_draft
from dsd_plan.optimize.verdict.measure_next import Next, deciding_next, declared_next
from dsd_plan.optimize.verdict.where_words import plainly_words, where_words

Answer = Literal["yes", "no", "undecided"]
OBJECTIVE_WORDS = {"cost": "cost", "energy": "energy a token", "tpot": "mean TPOT", "devices": "number of devices"}


def verdict(case: Case, tips: Sequence[TippingPoint] = ()) -> Verdict:
    """The decision. Undecided where the gain is smaller than the error of the ratio.

    `tips`: where the decision changes, so that the sentence and the study name the same points.
    """
    answer, sentence, following = _decided(case, tips)
    saves = {} if case.plain_trouble == NOT_SEARCHED and answer == "undecided" else _saves(case)
    known = case.tpot is not None and case.believed and "tpot_share" in saves
    return Verdict(
        answer=answer,
        sentence=f"{sentence}{condition_words(case, tips, decided=answer != 'undecided')}",
        saves=saves,
        saves_between={"tpot_share": (1.0 - case.tpot.high, 1.0 - case.tpot.low)} if known and case.tpot else None,
        measure_next=None if following is None else following.words,
        measurement=None if following is None else following.measurement,
    )


def _decided(case: Case, tips: Sequence[TippingPoint]) -> tuple[Answer, str, Next | None]:
    """Answer, sentence, and what to measure next."""
    speculates = case.speculative is not None and case.speculative.judged.kept and not case.speculative_trouble
    plain_does = case.plain is not None and case.plain.judged.kept
    declared = declared_next(case, tips)
    if not speculates:
        if case.doubt is not None and _answer(case, case.doubt.ratio) == "yes":
            return "undecided", _if_it_kept(case), deciding_next(case, tips)
        if case.doubt is not None and case.doubt.ratio is None:
            return "undecided", _unbelieved(case), deciding_next(case, tips)
        return "no", _no_speculation(case, tips), declared
    assert case.speculative is not None
    if nothing_to_draft(case.scenario):
        return "no", "Do not speculate here: every answer is one token, and a first token is never drafted.", None
    how, numbers = where_words(case.scenario, case.speculative.choice), _numbers(case, case.speculative)
    if case.plain_trouble == NOT_SEARCHED:
        sentence = f"Undecided: {_gerund(how)} gives {numbers}, but plain decoding was left out of the search."
        command = "dsd-plan optimize SCENARIO"
        words = f'Add "target_only" to search.modes and run `{command}` again.'
        return "undecided", sentence, Next(words, Measurement(of="search", command=command))
    if not plain_does:
        if case.doubt is not None and _answer(case, case.doubt.ratio) != "yes":
            return "undecided", _if_plain_kept(case), deciding_next(case, tips)
        return "yes", f"{how}: {numbers}; plain decoding {case.plain_trouble}{_lost_words(case)}.", declared
    if not case.believed:
        return "undecided", _unbelieved(case), deciding_next(case, tips)
    answer = _answer(case, case.objective)
    if answer == "yes":
        at_the_edge = any(candidate.mode in EDGE_MODES for candidate in case.speculative.choice.candidates)
        edge = "" if at_the_edge else edge_words(case, tips)
        where = f"{how}{', not at the edge' if edge else ''}"
        gain = f"{_gain(case)}{against_words(case)}"
        return "yes", f"{where}: {numbers}, {gain}{_lost_words(case)}{edge}.", declared
    if answer == "no":
        return "no", _not_worth_it(case, tips), declared
    if _weigh(case.objective, case.tpot) == "yes":
        return "undecided", _only_with_drafts(case), Next(ACCEPT, None)
    return "undecided", _undecided(case), deciding_next(case, tips)


def _answer(case: Case, objective: Ratio | None) -> Answer:
    """As the ratios say; capacity that is gone when the drafts are lost is not saved, unless its users accept that."""
    found = _weigh(objective, case.tpot)
    if found != "yes" or case.speculative is None:
        return found
    counted = counted_ratio(case.scenario, case.speculative.choice, case.lost, objective)
    return found if _weigh(counted, case.tpot) == "yes" else "undecided"


def _weigh(objective: Ratio | None, tpot: Ratio | None) -> Answer:
    """The objective decides; where it is sure not to differ, or never to get worse, mean TPOT does."""
    if objective is None:
        return "undecided"
    if objective.surely_below:
        return "yes"
    if objective.surely_above:
        return "no"
    if tpot is not None and objective.high <= 1.0 and tpot.surely_below:
        return "yes"
    if tpot is not None and objective.low >= 1.0 and tpot.surely_above:
        return "no"
    return "undecided"


def _numbers(case: Case, plan: Confirmed) -> str:
    """The tightest TPOT budget (else the tightest other one) with what the replay makes of it; else mean TPOT.

    Of many workloads it is what model and replay together make of it: the largest of a thousand replayed numbers is
    mostly the unluckiest. How many of the budgets may as well be broken is then said, too. Intervals hold the error
    with which today's system was reproduced.
    """
    seen = widened(plan.observed.pooled, case.backcast)
    told: list[tuple[bool, float, str]] = []
    for workload in case.scenario.workloads:
        found = seen.workload(workload.name)
        whose = f" of {workload.name}" if len(case.scenario.workloads) > 1 else ""
        for metric, statistic, limit in workload.budgets.limits():
            value = getattr(getattr(found, f"{metric}_ms"), statistic)
            quantity = f"{metric}_{statistic}_ms"
            both = plan.together.get((workload.name, quantity))
            value = value if both is None else both.value.point
            if value is not None:
                interval = interval_of(found, f"{metric}_ms.{statistic}", value)
                if both is not None:
                    interval = widened_value(both.value, case.backcast, workload.name, quantity)
                between = f" ({number(interval.low)}–{number(interval.high)})" if interval else ""
                what = f"{statistic} {METRIC_WORDS[metric]}{whose} {number(value)} ms{between}"
                told.append((metric == "tpot", value / limit, f"{what} for a budget of {number(limit)} ms"))
    if told:
        return f"{max(told)[2]}{_open_words(plan)}"
    first = seen.workloads[0]
    if first.tpot_ms.mean:
        return f"mean TPOT {number(first.tpot_ms.mean)} ms"
    return f"mean TTFT {number(first.ttft_ms.mean)} ms"


def _open_words(plan: Confirmed) -> str:
    """How many of many budgets replays do not decide, and how many are likely to be broken in all."""
    undecided = sum(both.undecided for both in plan.together.values())
    if not undecided:
        return ""
    broken = sum(both.chance_broken for both in plan.together.values())
    about = f"about {number(broken)} of them" if broken >= 1.0 else "less than one"
    return f" ({undecided:,} of {len(plan.together):,} budgets are undecided, {about} likely broken)"


def _gain(case: Case) -> str:
    """What speculation saves against plain decoding, in devices, cost and time."""
    assert case.speculative is not None
    assert case.plain is not None
    parts = _device_changes(case)
    cost = _saved_cost(case, case.plain, case.speculative)
    if abs(cost) > 1e-9:
        when = " at the peak" if varies(case.scenario) else ""
        parts.append(f"{number(abs(cost))} an hour {'less' if cost > 0 else 'more'}{when}{_set_free(case)}")
    if case.scenario.search.minimize == "energy" and case.objective is not None:
        parts.append(f"{percent(1.0 - case.objective.point)} less energy a token")
    if case.tpot is not None:
        change = 1.0 - case.tpot.point
        direction = "lower" if change >= 0 else "higher"
        what = mean_tpot_words(len(case.scenario.workloads))
        parts.append(f"{what} {percent(abs(change))} ± {percent(case.tpot.error)} {direction} than plain decoding's")
    return ", ".join(parts)


def _set_free(case: Case) -> str:
    """How much of what is saved is the price of devices that are paid for all the same."""
    assert case.speculative is not None
    assert case.plain is not None
    freed = set_free(case.scenario, _counted(case, case.speculative), dict(case.plain.choice.counts))
    if freed <= 0.0:
        return ""
    return f" (counting {number(freed)} for owned or reserved devices set free, saved only where these have other work)"


def _device_changes(case: Case) -> list[str]:
    assert case.speculative is not None
    assert case.plain is not None
    mine, plain = _counted(case, case.speculative), dict(case.plain.choice.counts)
    return [
        f"{_copies(case.scenario, device, mine[device.name])} {device.name} instead of "
        f"{_copies(case.scenario, device, plain[device.name])}"
        for device in case.scenario.devices
        if device.name in mine and device.name in plain and mine[device.name] != plain[device.name]
    ]


def _copies(scenario: Scenario, device: Device, count: int) -> int:
    return count * site_copies(scenario, device)


def _counted(case: Case, speculative: Confirmed) -> Mapping[str, int]:
    """The speculative plan's replicas, with the targets that survive the loss of its drafts."""
    return counted_counts(case.scenario, speculative.choice, case.lost)


def _saved_cost(case: Case, plain: Confirmed, speculative: Confirmed) -> float:
    """Cost an hour that counts as saved."""
    mine = tuple(_counted(case, speculative).items())
    return cost_per_hour(case.scenario, plain.choice.counts) - cost_per_hour(case.scenario, mine)


def _lost_words(case: Case) -> str:
    """What the loss of every draft leaves, and which count the saving is against."""
    if case.lost is None:
        return ""
    against = ""
    if not case.lost.survives and case.plain is not None and case.plain.judged.kept:
        against = (
            ", and what is saved in cost and devices is counted with these"
            if case.lost.targets_needed
            else ", and no cost or device is saved"
        )
    return f"; {case.lost.sentence}{against}"


def _only_with_drafts(case: Case) -> str:
    """Undecided: cheaper while the drafts are there, and not with the targets that survive their loss."""
    assert case.speculative is not None
    assert case.plain is not None
    assert case.lost is not None
    how = _drafting(case, case.speculative)
    own = replace(case, lost=None)
    end = ""
    if case.lost.targets_needed is not None:
        cost = _saved_cost(case, case.plain, case.speculative)
        end = f", at which {number(abs(cost))} an hour is {'saved' if cost > 0 else 'lost'} against plain decoding"
    return (
        f"Undecided: {how} pays only while the drafts are there, with "
        f"{_numbers(case, case.speculative)}, {_gain(own)}; but {case.lost.sentence}{end}."
    )


def _no_speculation(case: Case, tips: Sequence[TippingPoint]) -> str:
    """Speculation cannot do what was asked, or there is no draft to do it with."""
    plain = ""
    if case.plain is not None and case.plain.judged.kept:
        devices = device_total(case.scenario, case.plain.choice.counts)
        how_many = f"{devices} device{'' if devices == 1 else 's'}"
        plain = f" Decode plainly{plainly_words(case.plain.choice)}: {_numbers(case, case.plain)}, on {how_many}."
    if case.speculative is None:
        return f"Do not speculate here: {case.speculative_trouble or 'there is no draft for any target'}.{plain}"
    return (
        f"Do not speculate here: the best speculative plan {case.speculative_trouble}{edge_words(case, tips)}.{plain}"
    )


def _not_worth_it(case: Case, tips: Sequence[TippingPoint]) -> str:
    assert case.plain is not None
    assert case.objective is not None
    if case.objective.surely_above:
        what = OBJECTIVE_WORDS[case.scenario.search.minimize]
        loss = f"the best speculative plan would raise {what} by {percent(case.objective.point - 1.0)}"
    else:
        assert case.tpot is not None
        loss = (
            f"at the same {OBJECTIVE_WORDS[case.scenario.search.minimize]}, the best speculative plan would raise "
            f"{mean_tpot_words(len(case.scenario.workloads))} by "
            f"{percent(case.tpot.point - 1.0)} ± {percent(case.tpot.error)}{against_words(case)}"
        )
    return (
        f"Do not speculate here: {loss} against plain decoding{edge_words(case, tips)}; "
        f"decode plainly{plainly_words(case.plain.choice)}: {_numbers(case, case.plain)}."
    )


def _if_plain_kept(case: Case) -> str:
    """Undecided: plain decoding breaks a budget by less than the error, and would be the better plan without that."""
    assert case.speculative is not None
    gives = f"{_drafting(case, case.speculative)} gives {_numbers(case, case.speculative)}"
    if case.doubt is None or case.doubt.ratio is None:
        return _unbelieved(case)
    return (
        f"Undecided: {gives}; plain decoding {case.plain_trouble}, which is within the error of "
        f"{percent(case.doubt.error)}, and if it kept its budgets {_what_then(case, case.doubt.ratio)}."
    )


def _if_it_kept(case: Case) -> str:
    """Undecided: speculation breaks a budget by less than the error, and would pay without that."""
    assert case.doubt is not None
    assert case.doubt.ratio is not None
    plain = "" if case.plain is None else f" Until then decode plainly: {_numbers(case, case.plain)}."
    return (
        f"Undecided: the best speculative plan {case.speculative_trouble}, which is within the error of "
        f"{percent(case.doubt.error)}, and if it kept its budgets {_what_then(case, case.doubt.ratio)}.{plain}"
    )


def _what_then(case: Case, ratio: Ratio) -> str:
    """What speculation comes to against plain decoding, by what decides; by mean TPOT where that is the same."""
    if ratio.low == ratio.high == 1.0 and case.tpot is not None:
        return _between(
            case.tpot, f"at the same {OBJECTIVE_WORDS[case.scenario.search.minimize]} speculation's mean TPOT"
        )
    return _between(ratio, f"speculation's {OBJECTIVE_WORDS[case.scenario.search.minimize]}")


def _unbelieved(case: Case) -> str:
    """Undecided: the model saturates today's system, so that nothing which it says can be believed."""
    assert case.backcast is not None
    where = "" if case.speculative is None else f"{_drafting(case, case.speculative)} may or may not pay: "
    return (
        f"Undecided: {where}under the model {case.backcast.saturates} saturates today, which the system in service "
        "does not, so that no comparison made with it can be believed."
    )


def _undecided(case: Case) -> str:
    assert case.speculative is not None
    what = OBJECTIVE_WORDS[case.scenario.search.minimize]
    parts = []
    if case.objective is not None:
        parts.append(_between(case.objective, what))
    if case.tpot is not None and case.scenario.search.minimize != "tpot":
        parts.append(_between(case.tpot, mean_tpot_words(len(case.scenario.workloads))))
    found = " and ".join(parts) or "its gain could not be worked out"
    return (
        f"Undecided: {_drafting(case, case.speculative)} may or may not pay: {found}, and the error hides the "
        f"difference{against_words(case)}; {_numbers(case, case.speculative)}."
    )


def _drafting(case: Case, plan: Confirmed) -> str:
    return _gerund(where_words(case.scenario, plan.choice))


def _gerund(how: str) -> str:
    return f"drafting{how.removeprefix('Draft')}"


def _between(ratio: Ratio, what: str) -> str:
    if ratio.low == ratio.high == 1.0:
        return f"{what} is the same as plain decoding's"
    between = f"{number(ratio.low)} or more" if ratio.high == inf else f"{number(ratio.low)}–{number(ratio.high)}"
    return f"{what} is {number(ratio.point)} times ({between}) plain decoding's"


def _saves(case: Case) -> dict[str, float]:
    """Speculation against plain decoding: positive is saved."""
    saves: dict[str, float] = {}
    if case.speculative is None or case.plain is None:
        return saves
    if case.tpot is not None:
        saves["tpot_share"] = 1.0 - case.tpot.point
    saves["cost_per_hour"] = _saved_cost(case, case.plain, case.speculative)
    counted = tuple(_counted(case, case.speculative).items())
    devices = [device_total(case.scenario, counts) for counts in (case.plain.choice.counts, counted)]
    saves["devices"] = float(devices[0] - devices[1])
    energies = [plan.observed.pooled.fleet.energy_j_per_token for plan in (case.plain, case.speculative)]
    if energies[0] is not None and energies[1] is not None:
        saves["energy_j_per_token"] = energies[0] - energies[1]
    return saves
