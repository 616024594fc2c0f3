"""A study of a large fleet without what nobody reads a thousand times: the same numbers of every workload, again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import Agreement, Option, Study

LARGE = 60
"""Workloads up to which a study is left whole."""
SHOWN = 12
"""Workloads with the least room, whose numbers are kept everywhere."""
FURTHEST_OFF = 48
"""Comparisons of model and replay that are kept of the other workloads, those that are furthest off."""


def abridged(study: Study) -> Study:
    """`study`, of many workloads shortened: the plan, its numbers and its budgets stay whole; a line says what goes.

    Of the other options, of the parts of a round and of model against replay the workloads with the least room stay.
    """
    many = len(study.predicted.workloads)
    if many <= LARGE:
        return study
    shown = tightest(study, SHOWN)
    kept = _kept_agreements(study.agreements, shown, {w.name for w in study.predicted.workloads})
    verdicts = Counter(agreement.verdict for agreement in study.agreements)
    told = ", ".join(f"{verdicts[name]:,} {name}" for name in ("agrees", "undecided", "disagrees"))
    line = (
        f"of {many} workloads the study keeps the plan, its predicted and replayed numbers and its budgets; what the "
        f"other options and the parts of a round make of them is kept for the {len(shown)} with the least room, and of "
        f"{len(study.agreements):,} comparisons of model and replay ({told}) those of them and the {FURTHEST_OFF} "
        "furthest off; maps, tipping points and what a better draft is worth were not worked out"
    )
    return replace(
        study,
        agreements=kept,
        options=tuple(_option(option, shown) for option in study.options),
        alternatives=tuple(_option(option, shown) for option in study.alternatives),
        equivalents=tuple(_option(option, shown) for option in study.equivalents),
        round_parts=tuple(parts for parts in study.round_parts if parts.workload in shown),
        story=(*study.story, line),
    )


def tightest(study: Study, most: int) -> frozenset[str]:
    """Workloads with the least room below a budget, as replayed where they were, else as predicted."""
    room: dict[str, float] = {}
    for check in study.budgets:
        value = check.replayed.point if check.replayed is not None else check.predicted
        room[check.scope] = max(room.get(check.scope, 0.0), (value or 0.0) / check.limit if check.limit > 0.0 else 0.0)
    names = sorted((w.name for w in study.predicted.workloads), key=lambda name: -room.get(name, 0.0))
    return frozenset(names[:most])


def _kept_agreements(found: Iterable[Agreement], shown: frozenset[str], names: set[str]) -> tuple[Agreement, ...]:
    rest = [agreement for agreement in found if agreement.workload in names and agreement.workload not in shown]
    furthest = sorted(rest, key=lambda agreement: -abs(agreement.relative_error))[:FURTHEST_OFF]
    dropped = {id(agreement) for agreement in rest} - {id(agreement) for agreement in furthest}
    return tuple(agreement for agreement in found if id(agreement) not in dropped)


def _option(option: Option, shown: frozenset[str]) -> Option:
    return replace(option, predicted=_shorter(option.predicted, shown), replayed=_shorter(option.replayed, shown))


def _shorter(performance: Performance | None, shown: frozenset[str]) -> Performance | None:
    if performance is None:
        return None
    kept = tuple(workload for workload in performance.workloads if workload.name in shown)
    return replace(performance, workloads=kept, notes=())
