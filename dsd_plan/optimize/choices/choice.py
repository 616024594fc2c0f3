"""One choice: a way to serve each workload, be it in two parts, and the replicas that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from dsd_plan.domain.plan import Routing
from dsd_plan.domain.scenario import Mode

Counts = tuple[tuple[str, int], ...]
"""(device type, replicas per copy of its site), in the scenario's order of devices."""

SIMPLEST_FIRST: tuple[Mode, ...] = ("target_only", "fused", "distributed", "pipelined", "edge_only")
"""Modes by how much has to be built and run for them; the last is simple, but its text is the draft's own."""

SPECULATIVE: frozenset[Mode] = frozenset({"fused", "distributed", "pipelined"})
EDGE_MODES: tuple[Mode, ...] = ("distributed", "pipelined")
"""Modes whose draft runs at the users' site."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve one workload; counts are chosen apart."""

    workload: str
    mode: Mode
    target_model: str
    target_device: str
    draft_model: str | None = None
    draft_device: str | None = None
    window: int | None = None
    kind: Literal["model", "head", "ngram"] = "model"
    """What drafts: the pair's."""
    paths: int = 1
    """Candidate paths of a round."""
    rest: Candidate | None = None
    """Where its traffic is split: how the others of its requests are served."""
    share: float = 1.0
    """Of its requests that are served this way."""
    draft_routing: Routing | None = None
    """How a session gets its draft device at the edge; None: at random."""

    @property
    def parts(self) -> tuple[tuple[Candidate, float], ...]:
        """Each way its requests are served, with the share of them; one, unless its traffic is split."""
        if self.rest is None:
            return ((self, 1.0),)
        return (self.head, self.share), (self.rest, round(1.0 - self.share, 9))

    @property
    def head(self) -> Candidate:
        """The first part, as if it served them all."""
        if self.rest is None:
            return self
        return replace(self, rest=None, share=1.0)

    @property
    def way(self) -> str:
        """Its mode; of split traffic the modes of both parts: "distributed+target_only"."""
        return self.mode if self.rest is None else f"{self.mode}+{self.rest.mode}"

    @property
    def served(self) -> str:
        """The mode that its requests are served in; both, where parts of them differ: "distributed and target only"."""
        if self.rest is None or self.rest.mode == self.mode:
            return self.mode
        return f"{self.mode} and {self.rest.mode}".replace("_", " ")

    @property
    def devices(self) -> tuple[str, ...]:
        """Device types it runs on: the target's, and at the edge the draft's; of split traffic both parts'."""
        own: tuple[str, ...] = (self.target_device,)
        if self.mode in EDGE_MODES and self.draft_device is not None:
            own = (self.target_device, self.draft_device)
        return own if self.rest is None else tuple(dict.fromkeys((*own, *self.rest.devices)))


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate a workload, and the replicas that carry them: all that a plan of this search says."""

    candidates: tuple[Candidate, ...]
    counts: Counts

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The mode of each workload; of split traffic the first part's, which speculates if any part does."""
        return tuple(candidate.mode for candidate in self.candidates)

    @property
    def speculates(self) -> bool:
        """Whether any workload does."""
        return any(mode in SPECULATIVE for mode in self.modes)

    @property
    def served(self) -> tuple[str, ...]:
        """The mode of each workload; both modes where parts of its traffic differ in that."""
        return tuple(candidate.served for candidate in self.candidates)

    @property
    def parts(self) -> tuple[tuple[Candidate, float], ...]:
        """Every way in which some requests are served, with the share of their workload's, in its order."""
        return tuple(part for candidate in self.candidates for part in candidate.parts)

    @property
    def splits(self) -> int:
        """Workloads whose traffic is split."""
        return sum(candidate.rest is not None for candidate in self.candidates)


def parts_of(chosen: Iterable[Candidate]) -> Iterator[Candidate]:
    """Every part of these candidates."""
    return (part for candidate in chosen for part, _ in candidate.parts)


def compatible(chosen: tuple[Candidate, ...]) -> bool:
    """Whether no device type would verify and draft at once, or hold two targets, edge drafts or fused drafts."""
    targets: dict[str, str] = {}
    for candidate in parts_of(chosen):
        if targets.setdefault(candidate.target_device, candidate.target_model) != candidate.target_model:
            return False
    edge: dict[str, str | None] = {}
    fused: dict[str, str | None] = {}
    for candidate in parts_of(chosen):
        if candidate.mode in EDGE_MODES and candidate.draft_device is not None:
            if candidate.draft_device in targets:
                return False
            if edge.setdefault(candidate.draft_device, candidate.draft_model) != candidate.draft_model:
                return False
        at, draft = candidate.target_device, candidate.draft_model
        if candidate.mode == "fused" and fused.setdefault(at, draft) != draft:
            return False
    return True


def same_but_window(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates differ in nothing but the window, each taken as if it served all requests."""
    return _but_window(one) == _but_window(other)


def _but_window(one: Candidate) -> tuple[object, ...]:
    return one.mode, one.target_device, one.draft_model, one.draft_device, one.paths, one.draft_routing
