"""What changed between two performances."""

from __future__ import annotations

from dsd_plan.compare.numbers import number_changes
from dsd_plan.domain.comparison import Comparison, NumberChange, Side
from dsd_plan.domain.performance import Performance

INDEPENDENT = (
    "the two replays have the same seed, and so the same luck as far as their plans allow; intervals of differences "
    "take them as independent and are wider than they need to be"
)
OWN_LUCK = "the two replays have different seeds: each has luck of its own"
UNKNOWN_LUCK = (
    "a performance does not tell its seed: replays of one seed share their luck, and intervals of differences, which "
    "take them as independent, are then wider than they need to be"
)
SHARED_ERROR = (
    "intervals of predictions hold the errors of inputs and model, most of which two predictions share: a change "
    "within them may still be real"
)
CHANCE_ALONE = (
    "an interval of a replay holds chance alone: errors of profiles and acceptance traces, which both sides share, are "
    "not in it"
)
PER_HUNDRED_BY_CHANCE = 0.05
"""Of numbers that did not change, how many a 95 % interval calls changed."""


def compare_performances(before: Performance, after: Performance) -> Comparison:
    """What changed from `before` to `after`; they may come from different sources, which is noted."""
    numbers = number_changes(before, after)
    notes = [UNKNOWN_LUCK] if before.source == after.source == "replay" else []
    return Comparison(
        kind="performance",
        before=Side(name=before.source, version=None, seed=None, command=None),
        after=Side(name=after.source, version=None, seed=None, command=None),
        basis=after.source if before.source == after.source else None,
        inputs=(),
        scenario=(),
        plan=(),
        numbers=numbers,
        **workloads_of_one_side(before, after),
        budgets=(),
        verdict=None,
        options=(),
        optimality_gap=None,
        made=(),
        notes=(*source_notes(before, after, numbers), *notes),
    )


def workloads_of_one_side(before: Performance, after: Performance) -> dict[str, tuple[str, ...]]:
    """Names of workloads that the other side does not have."""
    old, new = ([workload.name for workload in side.workloads] for side in (before, after))
    return {
        "only_before": tuple(name for name in old if name not in new),
        "only_after": tuple(name for name in new if name not in old),
    }


def source_notes(before: Performance, after: Performance, numbers: tuple[NumberChange, ...]) -> tuple[str, ...]:
    """What follows from where the numbers come from, how many were judged, and whether both sides are steady."""
    notes = []
    if before.source != after.source:
        notes.append(
            f"the first is from the {before.source}, the second from the {after.source}: a difference may be the "
            "model's error, which `dsd-plan crosscheck` judges"
        )
    elif before.source == "model":
        notes.append(SHARED_ERROR)
    elif before.source == "replay":
        notes.append(CHANCE_ALONE)
    for which, side in (("first", before), ("second", after)):
        if not side.steady:
            notes.append(f"the {which} has no steady state: numbers that would drift are left out of it")
    judged = [row for row in numbers if row.finding in ("significant", "not significant")]
    found = sum(row.finding == "significant" for row in judged)
    if found and len(judged) >= 1 / PER_HUNDRED_BY_CHANCE:
        expected = round(PER_HUNDRED_BY_CHANCE * len(judged))
        notes.append(
            f"{len(judged)} numbers were judged, each at 95 %: were nothing changed, about {expected} would be called "
            "significant by chance"
        )
    return tuple(notes)
