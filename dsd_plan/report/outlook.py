"""Where the decision changes, and what a better-aligned draft would be worth, in sentences."""

from __future__ import annotations

from math import log

from dsd_plan.domain.study import Study, TippingPoint
from dsd_plan.domain.study_outlook import BadEnd, DraftWorth
from dsd_plan.report.maps import input_value, short_name
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import number, several
from dsd_plan.report.reading import mode_name

A_BUDGET_BREAKS = "a budget breaks"
MOST_TIPS = 3
"""Nearest tipping points that a summary names."""
MOST_ENDS = 4
"""Inputs at their bad end that a summary names."""


def input_words(point: TippingPoint) -> str:
    """Whose input: "RTT of chat", "step time of h200"."""
    name = short_name(point.input)
    if point.of is not None and point.input != "acceptance":
        return f"{name} of {isolated(point.of)}"
    if point.input == "acceptance" and point.workload == "fleet" and point.of is not None:
        return f"{name} of {isolated(point.of)}"
    return name if point.workload == "fleet" else f"{name} of {isolated(point.workload)}"


def outcome_words(point: TippingPoint) -> str:
    """What the decision becomes: "draft beside the target, window 4", or that a budget breaks."""
    if point.becomes is None:
        return "–"
    window = f", window {point.window}" if point.window is not None else ""
    return f"{mode_name(point.becomes)}{window}"


ANEW = "with windows and devices chosen anew"
"""What is not held at a tipping point."""


def tip_words(point: TippingPoint, now: str = "now") -> str:
    """One tipping point in a line, with its reason; `now`: what the input's own value is called."""
    mine, there = input_value(point.input, point.now), input_value(point.input, point.tips_at)
    reason = f", for {point.why}" if point.why else ""
    return f"{input_words(point)} {there} ({now} {mine}{_as_it_is(point)}): {outcome_words(point)}{reason}"


def _as_it_is(point: TippingPoint) -> str:
    words = ""
    if point.plan_breaks_at is not None:
        words = f"; the plan as it is breaks a budget at {input_value(point.input, point.plan_breaks_at)}"
    if point.saves_nothing_at is not None and point.saves_nothing_at != point.tips_at:
        words += f"; nothing is saved from {input_value(point.input, point.saves_nothing_at)} down"
    return words


def tip_lines(study: Study) -> list[str]:
    """The nearest tipping points in one line, with what is held and what is not; nothing where none tips."""
    tips = nearest_tips(study)[:MOST_TIPS]
    if not tips:
        return []
    return [f"{ANEW}: {'; '.join(tip_words(point, now_words(study)) for point in tips)}"]


def now_words(study: Study) -> str:
    """What the inputs' values are called at which everything is told."""
    return "now" if study.robustness is None else "planned for"


def robust_label(study: Study) -> str:
    """That every number is told at the bad end, and at which load; empty where it is not."""
    if study.robustness is None:
        return ""
    load = "" if study.planned_load == 1.0 else f", at {study.planned_load:.3g} × today's load"
    return f"A robust plan: numbers are told with every input at its bad end{load}"


def nearest_tips(study: Study) -> tuple[TippingPoint, ...]:
    """Those that tip at all, the nearest by ratio first."""
    return tuple(sorted((p for p in study.tipping_points if p.tips_at is not None), key=_distance))


def _distance(point: TippingPoint) -> float:
    if point.now > 0 and point.tips_at:
        return abs(log(point.tips_at / point.now))
    return abs((point.tips_at or 0.0) - point.now)


def worth_words(worth: DraftWorth) -> str:
    """What a better-aligned draft saves, in a sentence."""
    better = f"{isolated(worth.draft)} accepted {number(worth.acceptance_then)} instead of "
    better += number(worth.acceptance_now)
    parts = []
    if abs(worth.saves_cost_per_hour) > 1e-9:
        parts.append(f"{number(worth.saves_cost_per_hour)} an hour")
    if abs(worth.saves_tpot_ms) > 5e-3:
        parts.append(f"{number(worth.saves_tpot_ms)} ms of mean TPOT")
    if worth.saves_energy_j_per_token is not None and abs(worth.saves_energy_j_per_token) > 5e-4:
        parts.append(f"{number(worth.saves_energy_j_per_token)} J a token")
    if not parts:
        return f"{better} saves nothing: the decision stays {worth.plan_then}"
    changed = "" if worth.plan_now == worth.plan_then else f", with {worth.plan_then}"
    return f"{better} saves {', '.join(parts)}{changed}"


def robust_lines(study: Study) -> list[str]:
    """What a robust plan costs, and what each input was set to; nothing where it was not asked for."""
    found = study.robustness
    if found is None:
        return []
    lines = [f"{found.sentence}."]
    lines += [f"{end_words(end)} ({end.source})" for end in found.inputs[:MOST_ENDS]]
    if len(found.inputs) > MOST_ENDS:
        lines.append(f"and {several(len(found.inputs) - MOST_ENDS, 'more input')} at the bad end")
    if found.exact:
        more = f" and {len(found.exact) - 2} more" if len(found.exact) > 2 else ""
        lines.append(f"taken as exact, for no interval is known: {', '.join(found.exact[:2])}{more}")
    return lines


def end_words(end: BadEnd) -> str:
    """What an input was set to: "RTT clinic – region 46 ms for 40 ms"."""
    if end.input == "acceptance":
        rounds = f"tokens a round of window {end.window}"
        return f"acceptance of {end.of}: {number(end.set_to)} for {number(end.now)} {rounds}"
    if end.input == "rtt_ms":
        return f"RTT {end.of}: {number(end.set_to)} ms for {number(end.now)} ms"
    name = "load" if end.input == "load" else f"step time of {end.of}"
    return f"{name}: {number(end.set_to)} × today's"


AXIS_NAMES = {"cost": "cost", "energy": "energy", "tpot": "TPOT", "devices": "devices"}


def front_title(study: Study) -> str:
    """What the front is of."""
    if not study.pareto_axes:
        return "Of the plans met on the way, those that none of the others beats in everything"
    return f"Plans that no other beats in all of {', '.join(AXIS_NAMES.get(a, a) for a in study.pareto_axes)}"


def front_rows(study: Study) -> list[dict[str, str | float | int | bool | None]]:
    """A row a point of the front, its plan in words."""
    return [
        {
            "mode": mode_words(point.mode),
            "window": point.window,
            "cost_per_hour": point.cost_per_hour,
            "devices": point.devices,
            "tpot_ms": point.tpot_ms,
            "energy_j_per_token": point.energy_j_per_token,
            "plan": point.words or None,
            "chosen": point.chosen,
        }
        for point in study.pareto
    ]


def mode_words(modes: str) -> str:
    """Several modes in a line, each as it is written in text."""
    return ", ".join(mode_name(mode) for mode in modes.split(", "))


def front_lines(study: Study) -> list[str]:
    """A front that was asked for, a plan a line; the chosen one is marked."""
    if not study.pareto_axes:
        return []
    if not study.pareto:
        return [f"{front_title(study)}: none is known (no plan's energy is known where energy was asked for)"]
    lines = [f"{front_title(study)}:"]
    for point in study.pareto:
        energy = "" if point.energy_j_per_token is None else f", {number(point.energy_j_per_token)} J a token"
        numbers = f"{number(point.cost_per_hour)} an hour{energy}, TPOT {number(point.tpot_ms)} ms"
        lines.append(f"{'> ' if point.chosen else ''}{numbers}, {several(point.devices, 'device')}: {point.words}")
    return lines
