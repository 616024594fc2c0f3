"""What requests cost: the energy and the price of their shares of their servers' time (see `bills`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed, DraftPool, TargetPool
from dsd_plan.replay.layout import MS_PER_S, Rows

MS_PER_H = 3600.0 * MS_PER_S
Array = NDArray[np.float64]


def are_kept(sessions: Rows) -> bool:
    """Whether the sessions' shares of their servers' time were kept."""
    return "edge_ms" in (sessions.dtype.names or ())


def charges(deployed: Deployed, sessions: Rows) -> Mapping[str, Array]:
    """By session: `draft_energy_j`, `verify_energy_j`, `idle_energy_j`, `cost`. NaN where a power is not known."""
    streams = sessions["stream"]

    def of_target(values: list[float]) -> Array:
        by_stream: Array = np.array([values[stream.target] for stream in deployed.streams])[streams]
        return by_stream

    def of_draft(values: list[float]) -> Array:
        of_streams = [0.0 if stream.draft is None else values[stream.draft] for stream in deployed.streams]
        by_stream: Array = np.array(of_streams)[streams]
        return by_stream

    targets, drafts = deployed.targets, deployed.drafts
    fused_w = [_known(None if pool.fused_profile is None else pool.fused_profile.active_w) for pool in targets]
    return {
        "draft_energy_j": _joules(sessions["edge_ms"], of_draft([_known(pool.profile.active_w) for pool in drafts]))
        + _joules(sessions["draft_ms"], of_target(fused_w)),
        "verify_energy_j": _joules(sessions["step_ms"], of_target([_known(pool.profile.active_w) for pool in targets])),
        "idle_energy_j": _joules(sessions["edge_idle_ms"], of_draft([_idle_w(pool) for pool in drafts]))
        + _joules(sessions["idle_ms"], of_target([_idle_w(pool) for pool in targets])),
        "cost": (sessions["edge_ms"] + sessions["edge_idle_ms"])
        * of_draft([pool.device.cost_per_hour / MS_PER_H for pool in drafts])
        + (sessions["draft_ms"] + sessions["step_ms"] + sessions["idle_ms"])
        * of_target([pool.device.cost_per_hour / MS_PER_H for pool in targets]),
    }


def _joules(ms: Array, watts: Array) -> Array:
    """No time costs nothing, at whatever power."""
    energy_j: Array = np.where(ms > 0.0, ms * watts / MS_PER_S, 0.0)
    return energy_j


def _idle_w(pool: TargetPool | DraftPool) -> float:
    return _known(pool.device.idle_w if pool.device.idle_w is not None else pool.profile.idle_w)


def _known(watts: float | None) -> float:
    return float("nan") if watts is None else watts
