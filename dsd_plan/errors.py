"""The exception tree. Only `cli` turns these into messages and exit codes.

DsdPlanError
├── InputError            something the user gave is wrong                 exit 1
│   ├── ScenarioError
│   ├── ProfileError
│   ├── TraceError
│   ├── PlanError
│   └── SchemaVersionError
├── MeasurementError      a measurement could not be trusted or finished   exit 1
├── UnstableError         offered work exceeds what a device can do        exit 1
└── InfeasibleError       no plan keeps every budget                       exit 3
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it is, and what was found, expected and should be done next."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class DsdPlanError(Exception):
    """Anything this package reports to its user on purpose."""


class InputError(DsdPlanError):
    """A file or argument is wrong. Carries every problem found, not only the first."""

    def __init__(self, source: str, problems: Iterable[Problem] | str) -> None:
        self.source = source
        self.problems = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        if len(self.problems) == 1:
            message = f"{source}: {self.problems[0]}"
        else:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            message = f"{source}: {len(self.problems)} problems\n{lines}"
        super().__init__(message)


class ScenarioError(InputError):
    """The scenario is malformed, contradicts itself, or asks for what is not supported yet."""


class ProfileError(InputError):
    """A latency profile is malformed or does not cover what is asked of it."""


class TraceError(InputError):
    """An acceptance or workload trace is malformed or does not cover what is asked of it."""


class PlanError(InputError):
    """A plan is malformed, or does not fit its scenario."""


class SchemaVersionError(InputError):
    """The file was written for another schema version."""


class MeasurementError(DsdPlanError):
    """A measurement on real hardware failed or would not be worth keeping."""


class UnstableError(DsdPlanError):
    """The offered work exceeds what a device can do, so no steady state exists."""

    def __init__(self, device: str, saturation: float, advice: str) -> None:
        self.device = device
        self.saturation = saturation
        super().__init__(f"{device}: saturation {saturation:.2f} (must stay below 1); {advice}")


class PreemptionError(UnstableError):
    """Sessions that grow would often push each other out of a device's KV memory, which the model does not follow."""

    def __init__(self, device: str, saturation: float, share: float) -> None:
        self.device = device
        self.saturation = saturation
        DsdPlanError.__init__(
            self,
            f"{device}: its KV blocks are full {share:.1%} of the time, and sessions preempt each other, which cannot "
            "be predicted; give it more kv_blocks or replicas, lower max_sequences, send less, or `dsd-plan replay` it",
        )


def few_digits(value: float) -> str:
    """Four significant digits, without an exponent where that is a large number's."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


class BudgetError(UnstableError):
    """Decodes and verifies nearly fill a plain server's token budget, and prompts starve: the model has no number."""

    def __init__(self, device: str, saturation: float, token_cap: int) -> None:
        self.device = device
        self.saturation = saturation
        DsdPlanError.__init__(
            self,
            f"{device}: its load is {saturation:.0%} of what iterations of {token_cap} new tokens can do; "
            "how long prompts wait there behind decodes cannot be predicted; raise token_cap, add replicas, send less, "
            "or `dsd-plan replay` it",
        )


class InfeasibleError(DsdPlanError):
    """No plan in the search keeps every budget; names the binding one and the nearest miss."""

    def __init__(self, budget: str, limit: float, nearest: float, advice: str, found: str = "") -> None:
        """`found`: the miss in words, where it is no budget's."""
        self.budget = budget
        self.limit = limit
        self.nearest = nearest
        self.found = found or f"{budget} allows {few_digits(limit)}, the nearest plan reaches {few_digits(nearest)}"
        self.advice = advice
        super().__init__(f"no plan keeps every budget: {self.found}; {advice}")

    def to_dict(self) -> dict[str, str | float]:
        """JSON-ready: the budget, its limit, the nearest value, and the same in words with the advice."""
        return {name: getattr(self, name) for name in ("budget", "limit", "nearest", "found", "advice")}
