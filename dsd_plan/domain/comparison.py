"""What changed between two results: inputs, plan, numbers with their intervals, budgets, options, and the verdict."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.performance import Interval, Source
from dsd_plan.domain.records import record

Kind = Literal["study", "performance"]
Change = Literal["changed", "added", "removed"]
Finding = Literal["same", "significant", "not significant", "not known", "changed"]
"""`changed`: of what has no error, such as a plan's cost. `not known`: a side has no interval."""
OptionFate = Literal["same", "changed", "added", "removed"]
NumberScope = Literal["workload", "device", "fleet"]


@record
class Side:
    """One of the two results."""

    name: str
    """The scenario's; of a bare performance, its source."""
    version: str | None
    seed: int | None
    command: str | None


@record
class InputChange:
    """A file that went into one of two studies, or into both with another content. SHA-256; None: not there."""

    path: str
    change: Change
    before: str | None
    after: str | None


@record
class KeyChange:
    """A key of the scenario, the plan or the provenance. Keys are written as `sweep --vary` takes them."""

    key: str
    change: Change
    before: Any
    """A value as in JSON; a whole table where an item was added or removed; None: not there."""
    after: Any


@record
class NumberChange:
    """One number before and after, and whether more than chance lies between."""

    scope: NumberScope
    name: str
    """The workload's or device type's; "fleet"."""
    metric: str
    """As in a performance: "tpot_ms.p95", "goodput_per_s"."""
    source: Source
    before: float | None
    after: float | None
    before_interval: tuple[float, float] | None
    after_interval: tuple[float, float] | None
    difference: Interval | None
    """After − before, 95 %; None where a side has no number or no interval."""
    ratio: Interval | None
    """After / before; None also where a side is not above 0."""
    relative: float | None
    """After / before − 1; None where a side has no number, or `before` is 0."""
    finding: Finding


@record
class BudgetChange:
    """A budget and what became of it."""

    scope: str
    budget: str
    limit_before: float | None
    limit_after: float | None
    kept_before: bool | None
    """None: no such budget there."""
    kept_after: bool | None


@record
class VerdictChange:
    """The decision, before and after."""

    answer_before: str
    answer_after: str
    sentence_before: str
    sentence_after: str
    saves: tuple[KeyChange, ...]


@record
class OptionChange:
    """One of the honest options."""

    name: str
    change: OptionFate
    chosen_before: bool
    chosen_after: bool
    cost_per_hour_before: float | None
    cost_per_hour_after: float | None
    devices: tuple[KeyChange, ...]
    reason_before: str | None
    reason_after: str | None


@record
class Comparison:
    """What changed from one result to another."""

    kind: Kind
    before: Side
    after: Side
    basis: Source | None
    """Where the numbers that lead come from: measured, else replayed with a steady state, else the model. None: the two
    sides come from different sources, or hold no workload in common."""
    inputs: tuple[InputChange, ...]
    scenario: tuple[KeyChange, ...]
    plan: tuple[KeyChange, ...]
    numbers: tuple[NumberChange, ...]
    """Of every source that both sides have."""
    only_before: tuple[str, ...]
    """Workloads that are there alone."""
    only_after: tuple[str, ...]
    budgets: tuple[BudgetChange, ...]
    verdict: VerdictChange | None
    options: tuple[OptionChange, ...]
    optimality_gap: tuple[float | None, float | None] | None
    made: tuple[KeyChange, ...]
    """Version, seed, machine."""
    notes: tuple[str, ...]
    """What must be known before a finding is believed."""

    @property
    def leading(self) -> tuple[NumberChange, ...]:
        """The numbers from the best source that both sides have."""
        return tuple(row for row in self.numbers if self.basis is None or row.source == self.basis)

    @property
    def identical(self) -> bool:
        """Whether nothing that was compared differs."""
        still = all(row.finding == "same" for row in self.numbers) and all(o.change == "same" for o in self.options)
        told = (self.inputs, self.scenario, self.plan, self.only_before, self.only_after, self.budgets, self.made)
        gap = self.optimality_gap is None or self.optimality_gap[0] == self.optimality_gap[1]
        return still and gap and not any(told) and (self.verdict is None or not verdict_changed(self.verdict))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema dsd-plan/comparison/1."""
        body: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return {"schema": "dsd-plan/comparison/1", **body, "identical": self.identical}


def verdict_changed(verdict: VerdictChange) -> bool:
    """Whether the answer, its words or what is saved differ."""
    before, after = verdict.answer_before, verdict.answer_after
    return before != after or verdict.sentence_before != verdict.sentence_after or bool(verdict.saves)


_ADAPTER = TypeAdapter(Comparison)
