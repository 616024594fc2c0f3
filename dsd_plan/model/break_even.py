"""Up to which round trip drafting at the edge pays: against plain decoding, or against another mode."""

from __future__ import annotations

from dsd_plan.domain.performance import WorkloadPerformance


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


def break_even_with(distributed: WorkloadPerformance, other: WorkloadPerformance) -> float | None:
    """The same from two predictions of one workload at its load; None where either has no rounds to compare.

    Serialisation and resending stay as they are: what is asked is how much propagation may grow. Waiting at the
    target is kept too, so that the answer holds near the round trip that `distributed` was predicted for.
    """
    parts, tokens, tpot = distributed.round_parts, distributed.tokens_per_round, distributed.tpot_ms.mean
    if parts is None or tokens is None or tpot is None or other.tpot_ms.mean is None:
        return None
    return (other.tpot_ms.mean - tpot) * tokens + parts.uplink_ms + parts.downlink_ms
