"""The question: fleet, pairs, workloads, budgets, and what the search may choose from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar

from dsd_plan.domain.acceptance import Acceptance
from dsd_plan.domain.fleet import Device, FaultWindow, Link, ModelSpec, Site
from dsd_plan.domain.identity import Same
from dsd_plan.domain.modes import Mode as Mode
from dsd_plan.domain.present import Present
from dsd_plan.domain.records import Count, Name, NonNegative, Positive, record
from dsd_plan.domain.workload import Workload

Objective = Literal["cost", "energy", "tpot", "devices"]


@record
class Pair:
    """A draft model, the target it speculates for, and how often the target agrees."""

    draft: Name
    target: Name
    acceptance: Acceptance
    wire: Literal["ids", "ids_q", "topk", "distributions"] = "ids"
    k: Count | None = None
    """With `wire = "topk"`: how many candidates' probabilities travel."""
    kind: Literal["model", "head", "ngram"] = "model"
    verify_via: Literal["native", "reprompt", "target_pulls"] = "native"


@record
class FleetBudgets:
    """Limits on the fleet as a whole; None: no limit."""

    energy_j_per_token: Positive | None = None
    cost_per_hour: NonNegative | None = None
    power_w: dict[Name, Positive] | None = None


@record
class Search:
    """What the optimizer may choose from, and what it minimizes."""

    modes: tuple[Mode, ...] = ("target_only", "fused", "distributed", "pipelined")
    windows: tuple[Count, ...] = tuple(range(1, 13))
    minimize: Objective = "cost"
    robust_load: Positive | None = None
    """Multiple of today's load that a robust plan has to carry; None: today's."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that went into a result, by the path its user wrote and its SHA-256."""

    path: str
    sha256: str


@record
class Scenario:
    """Everything that is given; a plan says what is chosen."""

    name: Name
    sites: tuple[Site, ...]
    links: tuple[Link, ...] = ()
    models: tuple[ModelSpec, ...]
    devices: tuple[Device, ...]
    pairs: tuple[Pair, ...] = ()
    workloads: tuple[Workload, ...]
    faults: tuple[FaultWindow, ...] = ()
    budgets: FleetBudgets = FleetBudgets()
    search: Search = Search()
    present: Present | None = None
    inputs: tuple[InputFile, ...] = ()
    """Filled by the loader: every file read for this scenario."""

    def site(self, name: str) -> Site:
        """The site called `name`. Raises KeyError."""
        return _named(self.sites, name)

    def model(self, name: str) -> ModelSpec:
        """The model called `name`. Raises KeyError."""
        return _named(self.models, name)

    def device(self, name: str) -> Device:
        """The device type called `name`. Raises KeyError."""
        return _named(self.devices, name)

    def workload(self, name: str) -> Workload:
        """The workload called `name`. Raises KeyError."""
        return _named(self.workloads, name)

    def pair(self, draft: str, target: str) -> Pair:
        """The pair of these two models. Raises KeyError."""
        for pair in self.pairs:
            if (pair.draft, pair.target) == (draft, target):
                return pair
        raise KeyError(f"{draft} + {target}")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _named(things: tuple[N, ...], name: str) -> N:
    found: N = _by_name(Same(things))[name]
    return found


@lru_cache(maxsize=64)
def _by_name(things: Same[tuple[Any, ...]]) -> dict[str, Any]:
    # From the last to the first: of two with one name, which the checks refuse, the first stands.
    return {thing.name: thing for thing in reversed(things.thing)}
