"""How long a session's round and its prefill take, when the other sessions bring so many jobs an iteration.

A session comes back a time D after an iteration's end (D = 0 where tokens are streamed), waits for the end of the
iteration in progress, and is served in the next. docs/method.md, "One session", derives each line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.batches import NOBODY, STRONGEST_ECHO, Batches, Classes, batches, mean_iteration
from dsd_plan.model.iteration_time import IterationTime
from dsd_plan.queueing.passage import Steps, first_passage, overflow

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Away:
    """Time from an iteration's end to the session's next job, as a mixture. Shape (classes, nodes), in ms."""

    chance: Array
    mean: Array
    variance: Array


@dataclass(frozen=True, slots=True, eq=False)
class Cycles:
    """What a session meets, by jobs of others and by class: shape (grid, classes), times in ms."""

    held: Batches
    round: Array
    """From one iteration's end to the next of the same session, queueing for a place in the batch included."""
    nodes: Array
    """The same by node of the time away, shape (grid, classes, nodes)."""
    own: Array
    """Length of the iteration that serves it; `own_draft` is its fused draft steps."""
    own_draft: Array
    prefill: Array
    """From the prompt's arrival at the replica to the end of its prefill iteration."""
    transient: Array
    """Extra time over a request's rounds, because its own prefill lengthened the iterations that followed."""


def cycles(time: IterationTime, classes: Classes, away: Away, cap: int, jobs: Array) -> Cycles:
    """Rounds and prefills when others bring `jobs` an iteration (0 … cap − 1), shape (grid,)."""
    held = batches(time, classes, cap, jobs)
    shape = held.decodes.shape
    own_ms, own_draft, prefill_ms, arrival = (np.zeros(shape) for _ in range(4))
    nodes = np.zeros((*shape, away.chance.shape[1]))
    passage = _passages(classes, held, away)
    for k in range(shape[1]):
        mates = _mates(classes, held, k)
        draft = time.drafting_ms(mates.decodes, mates.users, k)
        base = _with_own_job(time, mates.decodes.sum(axis=-1), k, cap) + draft + mates.prefilling(time)
        if classes.streamed[k]:
            own_ms[:, k] = base
        else:
            own_ms[:, k], nodes[:, k] = _returning(time, classes, held, mates, base, away, passage[k], k, cap)
        own_draft[:, k] = draft
        prefill_ms[:, k] = _own_prefill(time, classes, held, mates, k)
        arrival[:, k] = _arrival_wait(classes, held, passage[k], k)
    streamed = classes.streamed
    round_ms = (nodes * away.chance).sum(axis=-1)
    own_ms[:, streamed] += _gathering(classes, held, own_ms[:, streamed], round_ms)
    round_ms[:, streamed] = own_ms[:, streamed]
    nodes[:, streamed] = own_ms[:, streamed, None]
    turns = _mean_by(round_ms, held.decodes) / held.iteration
    behind = overflow(np.minimum(jobs + 1.0 / np.maximum(turns, 1.0), cap), held.crowding, cap, 1.0 + turns)
    queueing = np.where(held.alone, 0.0, behind / np.maximum(jobs, NOBODY) * held.iteration)[:, None]
    return Cycles(
        held=held,
        round=round_ms + queueing,
        nodes=nodes + queueing[..., None],
        own=own_ms,
        own_draft=own_draft,
        prefill=prefill_ms + arrival + queueing,
        transient=_transient(classes, held, round_ms, prefill_ms),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Mates:
    """The jobs of the other sessions, as one session of a class sees them: its own user is not among them."""

    decodes: Array
    prefills: Array
    users: Array

    def prefilling(self, time: IterationTime) -> Array:
        """Mean time that their prefills add to an iteration."""
        return self.prefills @ time.prefill


def _mates(classes: Classes, held: Batches, k: int) -> _Mates:
    users = classes.users.copy()
    if users[k] <= 0:
        return _Mates(held.decodes, held.prefills, users)
    # One of the closed users is the observer; the others on the replica are as many, of a different mix.
    left = np.ones(users.size)
    left[k] = max(1.0 - 1.0 / users[k], 0.0)
    remaining = float(classes.sessions @ left)
    left /= remaining if remaining > 1e-6 else 1.0
    users[k] = max(users[k] - 1.0, 0.0)
    return _Mates(held.decodes * left, held.prefills * left, users)


def _with_own_job(time: IterationTime, others: Array, k: int, cap: int) -> Array:
    """Step time of `others` decode jobs and one of class k."""
    together = np.minimum(others + 1.0, float(cap))
    return time.step(together) + time.own_extra(together, k)


def _returning(
    time: IterationTime, classes: Classes, held: Batches, mates: _Mates, base: Array, away: Away, passage: _Passages, k: int, cap: int
) -> tuple[Array, Array]:
    """(mean length of the iteration that serves it, rounds by node) of a session that is away between its rounds."""
    delay = away.mean[k]
    # A session returns into a long iteration more often than into a short one, and so do its mates.
    iteration = held.iteration[:, None]
    longer = passage.length / iteration - 1.0
    gathered = longer * iteration**2 / np.maximum(held.variance, NOBODY)[:, None]
    gathered = np.minimum(np.maximum(gathered, 0.0), 1.0)
    prefilling = mates.prefilling(time)[:, None]
    returning = (mates.decodes * ~classes.streamed * held.marginal).sum(axis=-1)[:, None]
    alone = np.zeros((1, classes.rates.size))
    draft = time.drafting_ms(mates.decodes, mates.users, None)
    full = (_with_own_job(time, np.array([cap - 1.0]), k, cap) + draft)[:, None] + prefilling
    busy = held.busy[:, None]
    own = np.minimum(base[:, None] + longer * (prefilling + gathered * returning), np.maximum(full, base[:, None]))
    own = busy * own + (1.0 - busy) * _with_own_job(time, alone.sum(axis=-1), k, cap)
    # While it is away the server goes idle at the end of some iteration, unless others keep it busy.
    kept_busy = (1.0 - held.empty)[:, None] ** (1.0 + delay / iteration)
    wait = kept_busy * (passage.end - delay) + (1.0 - kept_busy) * held.residual[:, None]
    return own @ away.chance[k], delay + wait + own


@dataclass(frozen=True, slots=True, eq=False)
class _Passages:
    """When the iteration ends that a class's session, or its next prompt, comes back in."""

    end: Array
    """Of a round, shape (grid, nodes); `length` is that iteration's."""
    length: Array
    prompt_end: Array
    """Of a closed user's next prompt, shape (grid,)."""


def _passages(classes: Classes, held: Batches, away: Away) -> list[_Passages]:
    """Iterations as a renewal process that begins at the end of one; all classes at once."""
    jumps = held.prefills.sum(axis=-1) * held.busy
    spread = max(held.jump_square - held.jump**2, 0.0)
    steps = Steps(held.iteration, held.variance, held.smooth, jumps, held.jump, spread)
    many, nodes = away.mean.shape
    rounds = np.repeat(~classes.streamed, nodes)
    prompts = classes.users > 0
    ages = np.concatenate([away.mean.ravel()[rounds], classes.between[prompts]])
    variances = np.concatenate([away.variance.ravel()[rounds], classes.between_variance[prompts]])
    shape = held.jobs.size, many * nodes
    end, length, prompt_end = np.zeros(shape), np.zeros(shape), np.zeros((held.jobs.size, many))
    if ages.size:
        passage = first_passage(steps, ages, variances)
        count = int(rounds.sum())
        end[:, rounds], length[:, rounds] = passage.end[:, :count], passage.length[:, :count]
        prompt_end[:, prompts] = passage.end[:, count:]
    cut = [slice(k * nodes, (k + 1) * nodes) for k in range(many)]
    return [_Passages(end[:, cut[k]], length[:, cut[k]], prompt_end[:, k]) for k in range(many)]


def _arrival_wait(classes: Classes, held: Batches, passage: _Passages, k: int) -> Array:
    """Wait of a prompt for the end of the iteration in progress.

    Open prompts come at any time. A closed user's comes one answer, one thought and one prompt's way after the end
    of an iteration: in step with the server if the thought is short beside an iteration, at any time if it is long.
    """
    if classes.users[k] <= 0:
        return held.residual
    delay = classes.between[k]
    kept_busy = (1.0 - held.empty) ** (1.0 + delay / held.iteration)
    waits = kept_busy * (passage.prompt_end - delay) + (1.0 - kept_busy) * held.residual
    in_step = held.iteration / (held.iteration + classes.think[k])
    return in_step * waits + (1.0 - in_step) * held.residual


def _gathering(classes: Classes, held: Batches, own: Array, round_ms: Array) -> Array:
    """What a streamed session adds by being there: its longer iterations gather more of those who return in time.

    Returns come at a rate, so their jobs grow with the iteration: by 1 − T/C of its share, as their rounds C grow too.
    """
    returning = held.decodes * ~classes.streamed
    turns = np.maximum(np.where(classes.streamed, np.inf, round_ms) / held.iteration[:, None], 1.0)
    echo = (returning * held.marginal * (1.0 - 1.0 / turns)).sum(axis=-1) / held.iteration
    echo = np.clip(echo, 0.0, STRONGEST_ECHO)[:, None]
    gathered: Array = (own - held.iteration[:, None]) * echo / (1.0 - echo)
    return gathered


def _own_prefill(time: IterationTime, classes: Classes, held: Batches, mates: _Mates, k: int) -> Array:
    """Length of the iteration that holds the session's prefill."""
    stretch = (held.second / held.iteration**2 - 1.0) * held.busy
    returning = (mates.decodes * ~classes.streamed * held.marginal).sum(axis=-1)
    total = mean_iteration(time, mates.decodes, mates.prefills, mates.users)
    total = total + stretch * (mates.prefilling(time) + returning) + time.prefill[k]
    if time.windows[k] > 0:
        # A fused prefill pays the draft's intercept only where no draft step does.
        total = total + time.draft_intercept * time.no_drafting(mates.decodes, mates.users)
    return total


def _transient(classes: Classes, held: Batches, round_ms: Array, prefill_ms: Array) -> Array:
    """Σ_i echo^i of the prefill iteration's excess, over the iterations that the session takes part in."""
    excess = np.maximum(prefill_ms - held.iteration[:, None], 0.0)
    turns = np.where(classes.streamed, 1.0, np.maximum(round_ms / held.iteration[:, None], 1.0))
    ratio = held.echo[:, None] ** turns
    return excess * ratio * (1.0 - ratio**classes.rounds) / (1.0 - ratio)


def _mean_by(values: Array, weights: Array) -> Array:
    """Weighted mean over classes; the plain mean where nothing weighs."""
    total = weights.sum(axis=-1)
    weighted = (values * weights).sum(axis=-1) / np.maximum(total, 1e-300)
    return np.where(total > 0.0, weighted, values.mean(axis=-1))
