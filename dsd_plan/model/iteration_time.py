"""Mean time of a mixed iteration on one replica, as a function of how many jobs of each class it holds.

Decoding and verifying jobs lie on the measured surface at the mean mix of the pool, which is piecewise linear in the
batch; a class adds what its own window and context cost beside that mix. Each prefill adds what it takes over the
step's intercept. Where fused sessions are present their draft steps come first, as many as the largest window among
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import TargetPool
from dsd_plan.domain.step_time import AFFINE, StepSurface, decode_ms, prefill_ms
from dsd_plan.model.engine_like.steps import EngineSteps
from dsd_plan.model.traffic import Demand

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class IterationTime:
    """Laws of one replica's iteration for a given mix of classes. Arrays over classes have shape (classes,)."""

    intercept: float
    batches: Array
    """Knots of `decoding`, ascending from 0."""
    decoding: Array
    """Time of a step with so many decode or verify jobs of the mean mix; the intercept at 0."""
    extra_at: Array
    """Batches at which `extra` is known."""
    extra: Array
    """What a job of a class costs over one of the mean mix, shape (batches, classes)."""
    prefill: Array
    """What one prefill of a class adds to an iteration."""
    prefill_square: Array
    """Its mean square over the lengths of the prompts."""
    windows: Array
    """Windows of fused classes, 0 of the others."""
    paths: Array
    """Candidate paths of each class: rows of a fused session's draft steps."""
    draft_batches: Array
    drafting: Array
    """One fused draft step of so many rows; empty where nothing is fused."""
    draft_intercept: float
    engine: EngineSteps | None = None
    """Of an engine-like server, or a plain one with a token budget or dearer KV reads beside prefills."""

    @property
    def fused(self) -> NDArray[np.bool_]:
        """Which classes are fused."""
        return self.windows > 0

    def step(self, jobs: Array) -> Array:
        """Step time with `jobs` decode jobs of the mean mix (fractions between whole batches), 0 … the cap."""
        return np.interp(jobs, self.batches, self.decoding)

    def marginal(self, jobs: Array) -> Array:
        """What one more job of each class adds, shape (*jobs, classes)."""
        slopes = (self.decoding[1:] - self.decoding[:-1]) / (self.batches[1:] - self.batches[:-1])
        at = np.minimum(np.maximum(np.searchsorted(self.batches, jobs) - 1, 0), slopes.size - 1)
        extra = np.stack([self.own_extra(jobs, k) for k in range(self.extra.shape[1])], axis=-1)
        return slopes[at][..., None] + extra

    def own_extra(self, jobs: Array, k: int) -> Array:
        """What a job of class k costs over one of the mean mix in a batch of `jobs`."""
        return np.interp(jobs, self.extra_at, self.extra[:, k])

    def draft_step(self, rows: Array) -> Array:
        """One draft step for so many candidate paths of fused sessions together (at least one)."""
        return np.interp(np.maximum(rows, 1.0), self.draft_batches, self.drafting)

    def drafting_ms(self, jobs: Array, users: Array, own: int | None) -> Array:
        """Mean draft time of an iteration with others' `jobs` of each class, shape (…, classes), before its step.

        With `own` a session of that class is in the batch as well. A class is absent with (1 − jobs/m)^m, m the number
        that could be there: its users, or everybody present where it has no fixed number.
        """
        if not self.drafting.size:
            return np.zeros(jobs.shape[:-1])
        absent = self._absent(jobs, users)
        others = (jobs * self.fused * self.paths).sum(axis=-1)
        own_window = 0.0 if own is None else float(self.windows[own])
        steps = np.full(others.shape, own_window)
        below = own_window
        nobody = absent.prod(axis=-1)
        for window in sorted({w for w in self.windows.tolist() if w > own_window}):
            # All who draft at all draft at least as far as the smallest window.
            lacking = np.where(self.windows >= window, absent, 1.0).prod(axis=-1) if below > 0.0 else nobody
            steps = steps + (window - below) * (1.0 - lacking)
            below = window
        if own_window > 0:
            return steps * self.draft_step(others + (1.0 if own is None else self.paths[own]))
        present = np.maximum(1.0 - nobody, 1e-12)
        return steps * self.draft_step(others / present)

    def no_drafting(self, jobs: Array, users: Array) -> Array:
        """Probability that an iteration with these jobs drafts nothing."""
        chance: Array = np.prod(self._absent(jobs, users), axis=-1)
        return chance

    def _absent(self, jobs: Array, users: Array) -> Array:
        """Probability that a class is not in the iteration; 1 of classes that are not fused."""
        everyone = np.maximum(jobs.sum(axis=-1, keepdims=True), 1e-12)
        could = np.minimum(np.where(users > 0, users, np.inf), np.maximum(everyone, jobs))
        could = np.maximum(could, 1e-12)
        absent = np.maximum(1.0 - jobs / could, 0.0) ** could
        return np.where(self.fused & (jobs > 1e-12), absent, 1.0)


def iteration_time(pool: TargetPool, demands: Sequence[Demand], decode_shares: Array) -> IterationTime:
    """Laws of a replica of `pool`; `decode_shares` is each class's share of all decode and verify jobs."""
    windows = np.array([float(d.window) for d in demands])
    verified = np.array([d.verified for d in demands])
    paths = np.array([float(d.paths) for d in demands])
    contexts = np.array([d.lengths.context for d in demands])
    shares = decode_shares / max(float(decode_shares.sum()), 1e-300)
    new_tokens, context = float(shares @ verified), float(shares @ contexts)
    surface = pool.surface
    cap = float(pool.batch_cap)
    knots = _knots(_bends(surface, new_tokens), cap)
    decoding = [float(surface.law[0]), *(decode_ms(surface, b, new_tokens, context) for b in knots)]
    extra_at = np.array(sorted({1.0, max(1.0, float(round(cap**0.5))), cap}))
    fused = np.array([d.stream.mode == "fused" for d in demands])
    drafting_at, drafting = np.zeros(0), np.zeros(0)
    if fused.any() and pool.fused_surface is not None:
        mix = shares * fused * paths
        of_fused = float(mix @ contexts / mix.sum()) if mix.sum() > 0 else float(contexts[fused].mean())
        drafting_at = _knots(_bends(pool.fused_surface, 1.0), cap * float(paths[fused].max()))
        drafting = np.array([decode_ms(pool.fused_surface, b, 1.0, of_fused) for b in drafting_at])
    prefill = np.array([prefill_added_ms(pool, demand) for demand in demands])
    spread = np.array([demand.lengths.prompt_square / demand.lengths.prefill**2 for demand in demands])
    return IterationTime(
        intercept=float(surface.law[0]),
        batches=np.concatenate([[0.0], knots]),
        decoding=np.array(decoding),
        extra_at=extra_at,
        extra=_extra(surface, extra_at, verified, contexts, new_tokens, context),
        prefill=prefill,
        prefill_square=prefill**2 * spread,
        windows=np.where(fused, windows, 0.0),
        paths=paths,
        draft_batches=drafting_at,
        drafting=drafting,
        draft_intercept=0.0 if pool.fused_surface is None else float(pool.fused_surface.law[0]),
        engine=_engine(pool, demands),
    )


def _engine(pool: TargetPool, demands: Sequence[Demand]) -> EngineSteps | None:
    if pool.engine is None and pool.token_cap is None and not pool.surface.law[5] > 0.0:
        return None
    return EngineSteps(
        ahead=pool.engine is not None and pool.engine.ahead,
        budget=float("inf") if pool.token_cap is None else float(pool.token_cap),
        tokens=np.array([float(demand.verified) for demand in demands]),
        prompts=np.array([demand.lengths.prefill for demand in demands]),
        prompt_squares=np.array([demand.lengths.prompt_square for demand in demands]),
        mixed=float(pool.surface.law[5]) * np.array([demand.lengths.context for demand in demands]),
    )


def _bends(surface: StepSurface, new_tokens: float) -> Array:
    """Batches at which a step of so many tokens a sequence may bend: measured ones, and the law's knots beyond them."""
    of_law = surface.law[AFFINE::2] / new_tokens
    measured = surface.decode_batch
    return np.concatenate([measured, of_law[of_law > measured[-1]] if measured.size else of_law])


def _knots(axis: Array, cap: float) -> Array:
    """Batches between which a surface at fixed tokens and context is linear, up to `cap`."""
    inside = axis[(axis > 1.0) & (axis < cap)]
    return np.array(sorted({1.0, *inside.tolist(), cap}))


def _extra(
    surface: StepSurface, batches: Array, windows: Array, contexts: Array, new_tokens: float, context: float
) -> Array:
    """What replacing one of b mean jobs by one of a class adds, shape (batches, classes)."""
    if windows.size == 1:
        return np.zeros((batches.size, 1))
    law = surface.law
    if not surface.decode_batch.size and law.size == AFFINE:
        each = law[1] * (windows - new_tokens) + law[3] * (contexts - context)
        return np.broadcast_to(each, (batches.size, windows.size))
    rows = []
    for b in batches:
        mean = decode_ms(surface, b, new_tokens, context)
        rows.append(
            [
                decode_ms(surface, b, new_tokens + (w - new_tokens) / b, context + (c - context) / b) - mean
                for w, c in zip(windows, contexts, strict=True)
            ]
        )
    return np.array(rows)


def prefill_added_ms(pool: TargetPool, demand: Demand) -> float:
    """What one prefill of a stream adds to an iteration, over the intercepts of the models that step."""
    surfaces = [pool.surface]
    if demand.stream.mode == "fused" and pool.fused_surface is not None:
        surfaces.append(pool.fused_surface)
    lengths = demand.lengths
    return sum(prefill_mean_added_ms(surface, lengths.prefill, lengths.prompt_square) for surface in surfaces)


def prefill_mean_added_ms(surface: StepSurface, prompt: float, prompt_square: float) -> float:
    """What one prefill adds on average over prompts of these moments: more than that of the mean prompt where the
    law is quadratic.
    """
    bent = float(surface.law[4]) * (prompt_square - prompt**2)
    return max(float(prefill_ms(surface, 1.0, prompt)) - float(surface.law[0]), 0.0) + bent
