"""What changed between two studies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsd_plan.compare.keys import key_changes
from dsd_plan.compare.numbers import FLEET, number_changes
from dsd_plan.compare.performances import INDEPENDENT, OWN_LUCK, source_notes, workloads_of_one_side
from dsd_plan.domain.comparison import (
    BudgetChange,
    Comparison,
    InputChange,
    OptionChange,
    OptionFate,
    Side,
    VerdictChange,
)
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import BudgetCheck, Option, Study

NOT_COMPARED = ("inputs",)
"""Keys of the resolved scenario that are told elsewhere: hashes, in the provenance."""


def compare_studies(before: Study, after: Study) -> Comparison:
    """What changed from `before` to `after`: what went in, what runs where, and what users see of it."""
    pairs = _pairs(before, after)
    lead = _leading(pairs)
    ends = _fleet_ends(before), _fleet_ends(after)
    numbers = tuple(
        row for old, new in pairs for row in number_changes(old, new, ends if new is after.replayed else ({}, {}))
    )
    judged = tuple(row for row in numbers if row.source == lead[1].source)
    return Comparison(
        kind="study",
        before=_side(before),
        after=_side(after),
        basis=lead[1].source,
        inputs=_inputs(before, after),
        scenario=key_changes(_scenario(before), _scenario(after)),
        plan=key_changes(_plan(before), _plan(after)),
        numbers=numbers,
        **workloads_of_one_side(before.predicted, after.predicted),
        budgets=tuple(_budgets(before, after)),
        verdict=_verdict(before, after),
        options=tuple(_options(before, after)),
        optimality_gap=(before.optimality_gap, after.optimality_gap),
        made=key_changes(_made(before), _made(after)),
        notes=(*source_notes(*lead, judged), *_notes(before, after, lead)),
    )


def _pairs(before: Study, after: Study) -> list[tuple[Performance, Performance]]:
    """What both sides have of each source."""
    pairs = [(before.predicted, after.predicted), (before.replayed, after.replayed)]
    if before.measured is not None and after.measured is not None and before.measured.source == after.measured.source:
        pairs.append((before.measured, after.measured))
    return pairs


def _fleet_ends(study: Study) -> dict[str, tuple[float, float]]:
    """Intervals of what the fleet's replay came to: they stand beside the model's, where both were compared."""
    return {
        row.metric: (row.observed.low, row.observed.high)
        for row in study.agreements
        if row.workload == FLEET and row.observed.low < row.observed.high
    }


def _leading(pairs: list[tuple[Performance, Performance]]) -> tuple[Performance, Performance]:
    """Measured, else replayed with a steady state on both sides, else the model."""
    return next((pair for pair in reversed(pairs) if pair[0].steady and pair[1].steady), pairs[0])


def _side(study: Study) -> Side:
    made = study.provenance
    return Side(name=study.name, version=made.version, seed=made.seed, command=made.command)


def _inputs(before: Study, after: Study) -> tuple[InputChange, ...]:
    """Files by their paths; those that lie elsewhere by their names, where these tell them apart."""
    old = {file.path: file.sha256 for file in before.provenance.inputs}
    new = {file.path: file.sha256 for file in after.provenance.inputs}
    gone, come = ([path for path in one if path not in other] for one, other in ((old, new), (new, old)))
    was = {path: path for path in new if path in old} | {
        path: same[0]
        for path in come
        if len(same := [each for each in gone if _file(each) == _file(path)]) == 1
        and sum(_file(each) == _file(path) for each in come) == 1
    }
    found = [
        InputChange(
            path=path,
            change="changed" if path in was else "added",
            before=old[was[path]] if path in was else None,
            after=sha256,
        )
        for path, sha256 in new.items()
        if path not in was or old[was[path]] != sha256
    ]
    left = [path for path in gone if path not in was.values()]
    return (*found, *(InputChange(path=path, change="removed", before=old[path], after=None) for path in left))


def _file(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _scenario(study: Study) -> dict[str, Any]:
    return {key: value for key, value in study.scenario.items() if key not in NOT_COMPARED}


def _plan(study: Study) -> dict[str, Any]:
    body = study.to_dict()["plan"]
    return {key: body[key] for key in ("assignments", "deployments")}


def _made(study: Study) -> dict[str, Any]:
    made = study.provenance
    return {"version": made.version, "seed": made.seed, "machine": made.machine}


def _budgets(before: Study, after: Study) -> Iterator[BudgetChange]:
    """Budgets that were moved, are new or gone, or are kept on one side alone."""
    old, new = ({(check.scope, check.budget): check for check in side.budgets} for side in (before, after))
    for scope, budget in dict.fromkeys([*old, *new]):
        first, second = old.get((scope, budget)), new.get((scope, budget))
        if _told(first) != _told(second):
            yield BudgetChange(
                scope=scope,
                budget=budget,
                limit_before=first.limit if first else None,
                limit_after=second.limit if second else None,
                kept_before=first.kept if first else None,
                kept_after=second.kept if second else None,
            )


def _told(check: BudgetCheck | None) -> tuple[float, bool] | None:
    return None if check is None else (check.limit, check.kept)


def _verdict(before: Study, after: Study) -> VerdictChange:
    return VerdictChange(
        answer_before=before.verdict.answer,
        answer_after=after.verdict.answer,
        sentence_before=before.verdict.sentence,
        sentence_after=after.verdict.sentence,
        saves=key_changes(before.verdict.saves, after.verdict.saves),
    )


def _options(before: Study, after: Study) -> Iterator[OptionChange]:
    """Every option of either side, by its name."""
    old, new = ({option.name: option for option in side.options} for side in (before, after))
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name), new.get(name)
        devices = key_changes(_devices(first), _devices(second))
        if first is None or second is None:
            change: OptionFate = "added" if first is None else "removed"
        else:
            change = "same" if not devices and _numbers(first) == _numbers(second) else "changed"
        yield OptionChange(
            name=name,
            change=change,
            chosen_before=first is not None and first.chosen,
            chosen_after=second is not None and second.chosen,
            cost_per_hour_before=first.cost_per_hour if first else None,
            cost_per_hour_after=second.cost_per_hour if second else None,
            devices=devices,
            reason_before=first.reason if first else None,
            reason_after=second.reason if second else None,
        )


def _devices(option: Option | None) -> dict[str, int]:
    return dict(option.devices or {}) if option else {}


def _numbers(option: Option) -> tuple[Any, ...]:
    return option.chosen, option.cost_per_hour, option.reason, option.plan


def _notes(before: Study, after: Study, lead: tuple[Performance, Performance]) -> tuple[str, ...]:
    notes = []
    if lead[0].source == "replay":
        notes.append(INDEPENDENT if before.provenance.seed == after.provenance.seed else OWN_LUCK)
    if before.name != after.name:
        notes.append("the studies are of two scenarios: what is called the same in both may not be the same thing")
    if before.provenance.version != after.provenance.version:
        notes.append(
            "the studies were made by two versions: keys and options that one of them does not know show as added or "
            "removed, and the model itself may have changed"
        )
    return tuple(notes)
