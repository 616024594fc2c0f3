"""How far the inputs of a prediction may be off, as measured: step times, acceptance, round trips.

Each source moves everything it feeds by one relative error (95 %), up and down. What was declared has no error that
anybody knows, and is left out; a note says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import (
    Acceptance,
    AcceptanceCounts,
    AcceptanceLaw,
    RoundTrace,
    TokenTrace,
    survival_by_position,
)
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.network import Hop
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.step_time import AFFINE, StepSurface
from dsd_plan.model.walks import rounds_along, walk_of

Array = NDArray[np.float64]

NORMAL_95 = 1.959963984540054
LARGEST = 0.9
"""Relative error of step times that is believed; nothing takes less than a tenth of what was measured."""
FEWEST_STRETCHES = 3
"""With fewer stretches of time nothing is known of how a link's round trip wanders."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One input's error: the same plan with it at its low and at its high end."""

    name: str
    low: Deployed
    high: Deployed
    base: Deployed | None = None
    """What `low` and `high` are to be compared with, where that is not the plan itself."""


def sources_of(deployed: Deployed) -> tuple[Source, ...]:
    """Every input whose error was measured."""
    makers: tuple[tuple[str, Callable[[Deployed, float], Deployed | None]], ...] = (
        ("step times of targets", _targets),
        ("step times of drafts", _drafts),
        ("round trips", _links),
    )
    found = []
    for name, moved in makers:
        low, high = moved(deployed, -1.0), moved(deployed, 1.0)
        if low is not None and high is not None:
            found.append(Source(name, low, high))
    base, low, high = (_accepted(deployed, sign) for sign in (0.0, -1.0, 1.0))
    if base is not None and low is not None and high is not None:
        found.append(Source("acceptance", low, high, base))
    return tuple(found)


def step_error(profile: LatencyProfile) -> float | None:
    """Mean relative error of its step times: of steps held out, or of the fit; None of a declared law."""
    if not profile.points:
        return None
    error = profile.held_out.mean_error if profile.held_out is not None else profile.fit.mean_error
    return None if error is None else min(error, LARGEST)


def _targets(deployed: Deployed, sign: float) -> Deployed | None:
    errors = [step_error(pool.profile) for pool in deployed.targets]
    if not any(errors):
        return None
    pools = tuple(
        replace(pool, surface=scaled(pool.surface, 1.0 + sign * (error or 0.0)))
        for pool, error in zip(deployed.targets, errors, strict=True)
    )
    return replace(deployed, targets=pools)


def _drafts(deployed: Deployed, sign: float) -> Deployed | None:
    errors = [step_error(pool.profile) for pool in deployed.drafts]
    beside = [None if pool.fused_profile is None else step_error(pool.fused_profile) for pool in deployed.targets]
    if not any(errors) and not any(beside):
        return None
    drafts = tuple(
        replace(pool, surface=scaled(pool.surface, 1.0 + sign * (error or 0.0)))
        for pool, error in zip(deployed.drafts, errors, strict=True)
    )
    targets = tuple(
        pool
        if pool.fused_surface is None
        else replace(pool, fused_surface=scaled(pool.fused_surface, 1.0 + sign * (error or 0.0)))
        for pool, error in zip(deployed.targets, beside, strict=True)
    )
    return replace(deployed, drafts=drafts, targets=targets)


def scaled(surface: StepSurface, factor: float) -> StepSurface:
    """The surface with every time multiplied, its law's knots included."""
    law = surface.law * factor
    law[AFFINE::2] = surface.law[AFFINE::2]
    return surface._replace(decode_ms=surface.decode_ms * factor, prefill_ms=surface.prefill_ms * factor, law=law)


def _links(deployed: Deployed, sign: float) -> Deployed | None:
    errors = {i: error for i, link in enumerate(deployed.scenario.links) if (error := link_error(link.profile)) > 0.0}
    if not errors:
        return None

    def moved(hop: Hop) -> Hop:
        factor = 1.0 + sign * errors.get(hop.link, 0.0)
        return hop._replace(mean_ms=hop.mean_ms * factor, rtt_ms=hop.rtt_ms * factor)

    streams = tuple(
        replace(stream, up=tuple(map(moved, stream.up)), down=tuple(map(moved, stream.down)))
        for stream in deployed.streams
    )
    return replace(deployed, streams=streams)


def link_error(profile: object) -> float:
    """Relative error of a measured mean round trip, by how its median wandered from stretch to stretch; 0: unknown."""
    moments = getattr(profile, "over_time", ())
    if len(moments) < FEWEST_STRETCHES:
        return 0.0
    medians = np.array([moment.p50_ms for moment in moments])
    return float(NORMAL_95 * medians.std(ddof=1) / sqrt(medians.size) / medians.mean()) if medians.mean() > 0 else 0.0


def _accepted(deployed: Deployed, sign: float) -> Deployed | None:
    """Recorded acceptance as a law by position, whose tokens a round lie so many of their errors off."""
    errors = [tokens_error(stream.acceptance, stream.window) for stream in deployed.streams]
    if not any(errors):
        return None
    streams = tuple(
        stream if error is None else replace(stream, acceptance=_moved(stream, sign * error))
        for stream, error in zip(deployed.streams, errors, strict=True)
    )
    return replace(deployed, streams=streams)


def _moved(stream: Stream, relative: float) -> AcceptanceLaw:
    """Survival s_i^x with x such that 1 + Σ s_i^x is the recorded tokens a round, times 1 + `relative`."""
    assert stream.acceptance is not None
    # A draft that goes on ahead guesses one token more than it proposes.
    known = stream.window + (stream.mode == "pipelined")
    survival = np.clip(survival_by_position(stream.acceptance, known), 1e-9, 1.0 - 1e-9)
    proposed = survival[: stream.window]
    wanted = float(np.clip((1.0 + proposed.sum()) * (1.0 + relative), 1.0 + 1e-6, 1.0 + stream.window - 1e-6))
    low, high = 1e-6, 1e6
    for _ in range(80):
        middle = sqrt(low * high)
        low, high = (middle, high) if 1.0 + float((proposed**middle).sum()) > wanted else (low, middle)
    return AcceptanceLaw(survival=tuple((survival**low).tolist()))


def tokens_error(acceptance: Acceptance | None, window: int) -> float | None:
    """Relative 95 % error of recorded tokens a round, requests as clusters; None where nothing was recorded."""
    if isinstance(acceptance, TokenTrace):
        starts = acceptance.request_starts()
        if starts.size < 2:
            return None
        tokens = max(round(acceptance.match.size / starts.size) - 1, 1)
        walk = walk_of(acceptance, window)
        assert walk is not None
        rounds, _ = rounds_along(walk, window, tokens)
        return float(NORMAL_95 * rounds.std(ddof=1) / sqrt(rounds.size) / rounds.mean())
    if isinstance(acceptance, RoundTrace):
        _, request = np.unique(acceptance.request_id, return_inverse=True)
        emitted = np.bincount(request, weights=np.minimum(acceptance.accepted, window) + 1.0)
        rounds = np.bincount(request).astype(np.float64)
        if rounds.size < 2:
            return None
        ratio = emitted.sum() / rounds.sum()
        spread = float(((emitted - ratio * rounds) ** 2).sum()) * rounds.size / (rounds.size - 1)
        return float(NORMAL_95 * sqrt(spread) / emitted.sum())
    if isinstance(acceptance, AcceptanceCounts) and acceptance.reached:
        survival = survival_by_position(acceptance, window)
        positions = np.arange(1, window + 1)
        variance = float(2.0 * positions @ survival - survival.sum() - survival.sum() ** 2)
        return float(NORMAL_95 * sqrt(max(variance, 0.0) / acceptance.reached[0]) / (1.0 + survival.sum()))
    return None


def declared_inputs(deployed: Deployed) -> tuple[str, ...]:
    """Names of what a prediction rests on without a known error: declared step times, acceptance, round trips."""
    stepping = [(pool.profile, pool.model, pool.device.name) for pool in deployed.targets]
    stepping += [(pool.profile, pool.model, pool.device.name) for pool in deployed.drafts]
    found = [
        f"the step time of {model} on {device}" for profile, model, device in stepping if step_error(profile) is None
    ]
    found += [
        f"the acceptance of {stream.workload.name}"
        for stream in deployed.streams
        if stream.window and tokens_error(stream.acceptance, stream.window) is None
    ]
    used = {hop.link for stream in deployed.streams for hop in stream.up}
    links = [deployed.scenario.links[i] for i in sorted(used)]
    found += [f"the round trip {' – '.join(link.between)}" for link in links if link_error(link.profile) <= 0.0]
    return tuple(dict.fromkeys(found))
