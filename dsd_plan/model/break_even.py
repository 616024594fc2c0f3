"""Up to which round trip drafting at the edge pays: against plain decoding, or against another mode."""

from __future__ import annotations

from typing import NamedTuple

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import WorkloadPerformance
from dsd_plan.model.traffic import demands_of


def break_even_rtt_ms(
    *,
    tokens_per_round: float,
    against_tpot_ms: float,
    draft_ms: float,
    wait_ms: float,
    verify_ms: float,
    serialisation_ms: float = 0.0,
) -> float:
    """The round trip at which a distributed round gives its tokens as slowly as the other mode does.

    E[X]·t_T − γt_d − W − t_v − serialisation, every time at the load in question. Against plain decoding
    `against_tpot_ms` is t_T; against fused speculation it is T_F/E_F, which gives (E_D/E_F)·T_F − γt_d − W − t_v.
    Negative: no round trip is short enough. Source: DSD, arXiv 2511.21669, and docs/method.md.
    """
    return tokens_per_round * against_tpot_ms - draft_ms - wait_ms - verify_ms - serialisation_ms


class Guesses(NamedTuple):
    """How a pipelined stream drafts ahead."""

    right: float
    """Share of rounds that begin with a right guess."""
    ahead_ms: float
    """A job that drafts ahead."""


def guesses_of(deployed: Deployed, index: int) -> Guesses | None:
    """Of the stream of that number; None where it does not draft ahead."""
    demand = demands_of(deployed)[index]
    return Guesses(demand.rounds.right, demand.ahead) if demand.stream.mode == "pipelined" else None


def break_even_with(
    distributed: WorkloadPerformance, other: WorkloadPerformance, guesses: Guesses | None = None
) -> float | None:
    """The same from two predictions of one workload at its load; None where either has no rounds to compare.

    Serialisation and resending stay as they are: what is asked is how much propagation may grow. Waiting at the
    target is kept too, so that the answer holds near the round trip that `distributed` was predicted for. With
    `guesses` the round trip x is in a round as (1 − h)·x + h·max(a, x + W + t_v).
    """
    parts, tokens, tpot = distributed.round_parts, distributed.tokens_per_round, distributed.tpot_ms.mean
    if parts is None or tokens is None or tpot is None or other.tpot_ms.mean is None:
        return None
    now_ms, gained_ms = parts.uplink_ms + parts.downlink_ms, (other.tpot_ms.mean - tpot) * tokens
    if guesses is None:
        return gained_ms + now_ms
    # Below `covered` a longer round trip hides behind what is drafted ahead, after a right guess.
    covered_ms = guesses.ahead_ms - parts.wait_ms - parts.verify_ms
    slope = max(1.0 - guesses.right, 1e-9)

    def growth(rtt_ms: float) -> float:
        """Of a round, over one at `covered`."""
        return (rtt_ms - covered_ms) * (1.0 if rtt_ms > covered_ms else slope)

    wanted_ms = growth(now_ms) + gained_ms
    return covered_ms + wanted_ms * (1.0 if wanted_ms > 0.0 else 1.0 / slope)
