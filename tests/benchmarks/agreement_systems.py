"""The systems that the agreement study draws, regime by regime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dsd_plan.domain.deployed import Deployed
from dsd_plan.model.known_errors_of_engines import ENGINE
from tests.model.random_engines import random_engine
from tests.model.random_systems import Drafts, Kind, random_system

MOST_LOAD = 0.95


@dataclass(frozen=True)
class Regime:
    """Systems of one kind; a seed gives one of them."""

    mode: str
    kind: Kind
    drafts: Drafts
    draw: Callable[[int], Deployed]

    @property
    def name(self) -> str:
        """As tables say it."""
        return f"{self.mode}, {self.drafts} drafts, {self.kind}" if self.drafted else f"{self.mode}, {self.kind}"

    @property
    def drafted(self) -> bool:
        """Whether draft devices are used at all."""
        return self.mode.removeprefix(ENGINE) not in ("target_only", "fused")


def _plain(mode: str, kind: Kind, drafts: Drafts) -> Regime:
    return Regime(mode, kind, drafts, partial(random_system, mode=mode, kind=kind, drafts=drafts, most_load=MOST_LOAD))


def _engine(mode: str, kind: Kind, drafts: Drafts) -> Regime:
    draw = partial(random_engine, mode=mode, kind=kind, drafts=drafts, load=(0.1, MOST_LOAD))
    return Regime(ENGINE + mode, kind, drafts, draw)


KINDS: tuple[Kind, ...] = ("open", "closed")
DRAFTS: tuple[Drafts, ...] = ("plenty", "shared")
REGIMES: tuple[Regime, ...] = (
    *(_plain("target_only", kind, "plenty") for kind in KINDS),
    *(_plain("fused", kind, "plenty") for kind in KINDS),
    *(_plain("distributed", kind, "plenty") for kind in KINDS),
    *(_plain("distributed", kind, "shared") for kind in KINDS),
    *(_plain(mode, kind, drafts) for mode in ("pipelined", "paths") for drafts in DRAFTS for kind in KINDS),
    *(_plain("batched", kind, "shared") for kind in KINDS),
    *(_plain("mixed", kind, "shared") for kind in KINDS),
    *(_engine(mode, kind, "plenty") for mode in ("target_only", "fused") for kind in KINDS),
    *(_engine("distributed", kind, drafts) for drafts in DRAFTS for kind in KINDS),
    *(_engine("mixed", kind, "shared") for kind in KINDS),
)
"""A mode joins the study with a `Regime` here whose `draw` makes its systems."""
