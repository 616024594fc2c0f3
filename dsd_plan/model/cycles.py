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
from dsd_plan.model.lockstep import SAME, lockstep_wait
from dsd_plan.queueing.passage import Steps, first_passage, overflow

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Away:
    """Time from an iteration's end to the session's next job, as a mixture, in ms.

    Shape (grid, classes, nodes), or (1, classes, nodes) where it does not depend on what the session meets.
    """

    chance: Array
    mean: Array
    variance: Array
    right: NDArray[np.bool_]
    """Which nodes come after a right guess (pipelined), shape (classes, nodes)."""


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
    gathered: Array
    """How much of a class's returns are in proportion to the iteration's length: 0 if D < T, towards 1 if D ≫ T."""


def cycles(
    time: IterationTime, classes: Classes, away: Away, cap: int, jobs: Array, gathered: Array | float = 1.0
) -> Cycles:
    """Rounds and prefills when others bring `jobs` an iteration (0 … cap − 1), shape (grid,).

    `gathered` is that of an earlier answer for about the same classes; 1 where there is none yet.
    """
    replica = _Replica(time, classes, cap, batches(time, classes, cap, jobs, gathered))
    held, streamed = replica.held, classes.streamed
    shape = held.decodes.shape
    own_ms, own_draft, prefill_ms, arrival, lengthened = (np.zeros(shape) for _ in range(5))
    nodes = np.zeros((*shape, away.chance.shape[2]))
    passages = _passages(replica, away)
    for k, mates in enumerate(_mates_by_class(replica)):
        # A session that is not fused itself drafts no step of its own.
        own_draft[:, k] = time.drafting_ms(mates.decodes, mates.users, k) if time.windows[k] > 0 else mates.drafting
        own_ms[:, k] = _with_own_job(replica, mates.batch, k) + own_draft[:, k] + mates.prefilling
        if not streamed[k]:
            longer, gathering = _gathered(replica, passages[k])
            lengthened[:, k] = (gathering * away.chance[:, k]).sum(axis=-1)
            own_ms[:, k], nodes[:, k] = _returning(
                replica, mates, passages[k], away, k, own_ms[:, k], longer, gathering
            )
        prefill_ms[:, k] = _own_prefill(replica, mates, k)
        arrival[:, k] = _arrival_wait(replica, passages[k], k)
    round_ms = (nodes * away.chance).sum(axis=-1)
    own_ms[:, streamed] = np.maximum(own_ms + _gathering(replica, own_ms, round_ms), own_draft + time.intercept)[
        :, streamed
    ]
    round_ms[:, streamed] = own_ms[:, streamed]
    nodes[:, streamed] = own_ms[:, streamed, None]
    queueing = _queueing(replica, round_ms)
    return Cycles(
        held=held,
        round=round_ms + queueing[:, None],
        nodes=nodes + queueing[:, None, None],
        own=own_ms,
        own_draft=own_draft,
        prefill=prefill_ms + arrival + queueing[:, None],
        transient=_transient(replica, round_ms, prefill_ms),
        gathered=lengthened,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Replica:
    """What all classes share."""

    time: IterationTime
    classes: Classes
    cap: int
    held: Batches


@dataclass(frozen=True, slots=True, eq=False)
class _Mates:
    """The jobs of the other sessions, as one session of a class sees them: its own user is not among them."""

    decodes: Array
    prefills: Array
    users: Array
    prefilling: Array
    """Mean time that their prefills add to an iteration, shape (grid,)."""
    returning: Array
    """Mean time of the jobs of those who come back by themselves."""
    batch: Array
    """Their decode jobs, shape (grid,)."""
    drafting: Array
    """Mean time of their fused draft steps; `iteration` that of an iteration that holds only them."""
    iteration: Array


def _mates_by_class(replica: _Replica) -> list[_Mates]:
    """By class. Open sessions of whatever class have the same ones, unless an engine mixes each class differently."""
    classes = replica.classes
    alike = classes.company is None and replica.time.engine is None
    found: list[_Mates] = []
    shared: _Mates | None = None
    for k in range(classes.users.size):
        if alike and classes.users[k] <= 0:
            shared = shared or _mates(replica, k)
            found.append(shared)
        else:
            found.append(_mates(replica, k))
    return found


def _mates(replica: _Replica, k: int) -> _Mates:
    classes, held = replica.classes, replica.held
    users, left = classes.users, np.ones(classes.users.size)
    if users[k] > 0:
        # One of the closed users is the observer; the others on the replica are as many, of a different mix.
        left[k] = max(1.0 - 1.0 / users[k], 0.0)
        remaining = float(classes.sessions @ left)
        left /= remaining if remaining > 1e-6 else 1.0
        users = users.copy()
        users[k] = max(users[k] - 1.0, 0.0)
    decodes, prefills = held.decodes * left, held.prefills * left
    if classes.company is not None:
        each = classes.company[:, k] / np.maximum(classes.sessions, NOBODY)
        decodes, prefills = held.decodes * each, held.prefills * each
        whole = (held.jobs / np.maximum((decodes + prefills).sum(axis=-1), NOBODY))[:, None]
        decodes, prefills = decodes * whole, prefills * whole
    returning = (decodes * ~classes.streamed * held.marginal).sum(axis=-1)
    prefilling = prefills @ replica.time.prefill
    engine = replica.time.engine
    if engine is not None:
        prefilling = (
            prefilling + engine.mixed_ms(decodes, prefills) + engine.mixing(decodes, prefills) * engine.mixed[k]
        )
    batch = decodes.sum(axis=-1)
    drafting = replica.time.drafting_ms(decodes, users, None)
    iteration = mean_iteration(replica.time, decodes, prefills, users, drafting)
    return _Mates(decodes, prefills, users, prefilling, returning, batch, drafting, iteration)


def _with_own_job(replica: _Replica, others: Array, k: int) -> Array:
    """Step time of `others` decode jobs and one of class k."""
    together = np.minimum(others + 1.0, float(replica.cap))
    return replica.time.step(together) + replica.time.own_extra(together, k)


@dataclass(frozen=True, slots=True, eq=False)
class _Passage:
    """When the iteration ends that a class's session, or its next prompt, comes back in."""

    end: Array
    """Of a round, shape (grid, nodes); `length` is that iteration's."""
    length: Array
    prompt_end: Array
    """Of a closed user's next prompt, shape (grid,)."""


def _passages(replica: _Replica, away: Away) -> list[_Passage]:
    """Iterations as a renewal process that begins at the end of one; all classes at once."""
    classes, held = replica.classes, replica.held
    jumps = held.prefills.sum(axis=-1) * held.busy
    spread = max(held.jump_square - held.jump**2, 0.0)
    steps = Steps(held.iteration, held.variance, held.smooth, jumps, held.jump, spread)
    rows, many, nodes = away.mean.shape
    rounds = np.repeat(~classes.streamed, nodes)
    prompts = classes.users > 0
    ages, variances = (
        np.hstack([of_rounds.reshape(rows, -1)[:, rounds], np.tile(of_prompts[prompts], (rows, 1))])
        for of_rounds, of_prompts in (
            (away.mean, classes.between),
            (away.variance, classes.between_variance),
        )
    )
    shape = held.jobs.size, many * nodes
    end, length, prompt_end = np.zeros(shape), np.zeros(shape), np.zeros((held.jobs.size, many))
    if ages.size:
        passage = first_passage(steps, ages, variances)
        count = int(rounds.sum())
        end[:, rounds], length[:, rounds] = passage.end[:, :count], passage.length[:, :count]
        prompt_end[:, prompts] = passage.end[:, count:]
    cut = [slice(k * nodes, (k + 1) * nodes) for k in range(many)]
    return [_Passage(end[:, cut[k]], length[:, cut[k]], prompt_end[:, k]) for k in range(many)]


def _returning(
    replica: _Replica,
    mates: _Mates,
    passage: _Passage,
    away: Away,
    k: int,
    own_ms: Array,
    longer: Array,
    gathered: Array,
) -> tuple[Array, Array]:
    """(mean length of the iteration that serves it, rounds by node) of a session that is away between its rounds.

    `own_ms` is that length if it came back into an iteration like any other; `longer` and `gathered` as `_gathered`.
    """
    held, delay, base = replica.held, away.mean[:, k], own_ms[:, None]
    iteration, busy = held.iteration[:, None], held.busy[:, None]
    # A session returns into a long iteration more often than into a short one, and so do its mates.
    own = base + longer * (mates.prefilling[:, None] + gathered * mates.returning[:, None])
    full = _with_own_job(replica, np.array([replica.cap - 1.0]), k) + mates.drafting + mates.prefilling
    own = np.minimum(own, np.maximum(full[:, None], base))
    own = busy * own + (1.0 - busy) * _with_own_job(replica, np.zeros(1), k)
    # While it is away the server goes idle at the end of some iteration, unless others keep it busy.
    kept_busy = (1.0 - held.empty)[:, None] ** (1.0 + delay / iteration)
    wait = kept_busy * (passage.end - delay) + (1.0 - kept_busy) * held.residual[:, None]
    kept = _in_step(replica, away)
    if kept > 0.0:
        rate = float(replica.classes.rates.sum())
        others = held.jobs * (1.0 + delay[0, 0] / held.iteration)
        in_step = lockstep_wait(held.iteration, float(delay[0, 0]), others, rate, held.jump, held.jump_square)
        wait[:, 0] -= kept * np.maximum(wait[:, 0] - in_step, 0.0)
    wait += _planned(replica)[:, None]
    return (own * away.chance[:, k]).sum(axis=-1), delay + wait + own


def _gathered(replica: _Replica, passage: _Passage) -> tuple[Array, Array]:
    """(excess of the iteration that a session returns into over the mean, as a share; κ of docs/method.md).

    Cov(returns, length) / (E returns · E length) = M/T − 1, and κ = (M/T − 1) T²/V is 1 where returns come at a rate.
    """
    held = replica.held
    iteration = held.iteration[:, None]
    longer = passage.length / iteration - 1.0
    share = longer * iteration**2 / np.maximum(held.variance, NOBODY)[:, None]
    return longer, np.minimum(np.maximum(share, 0.0), 1.0)


def _in_step(replica: _Replica, away: Away) -> float:
    """Share of the time that sessions who were in one iteration come back together, where there is but one class.

    A wait for a draft device parts them; the next prefill that finds them apart brings them together again.
    """
    alone = away.mean.shape[1] == 1 and float(away.chance[0, 0] @ away.right[0]) < SAME
    if not alone or away.variance[0, 0, 0] ** 0.5 > SAME * replica.held.iteration[0]:
        return 0.0
    return float(1.0 / (1.0 + (1.0 - away.chance[0, 0, 0]) * replica.classes.rounds[0]))


def _own_prefill(replica: _Replica, mates: _Mates, k: int) -> Array:
    """Length of the iteration that holds the session's prefill."""
    time, held = replica.time, replica.held
    stretch = (held.second / held.iteration**2 - 1.0) * held.busy
    total: Array = mates.iteration + time.prefill[k]
    total = total + stretch * (mates.prefilling + mates.returning)
    if time.windows[k] > 0:
        # A fused prefill pays the draft's intercept only where no draft step does.
        total = total + time.draft_intercept * time.no_drafting(mates.decodes, mates.users)
    engine = time.engine
    if engine is not None:
        total = total + mates.decodes @ engine.mixed - engine.mixed_ms(mates.decodes, mates.prefills)
        total = total + engine.chunked_ms(mates.decodes, mates.prefills, held.iteration, time.prefill)[:, k]
    return total


def _arrival_wait(replica: _Replica, passage: _Passage, k: int) -> Array:
    """Wait of a prompt for the end of the iteration in progress.

    Open prompts come at any time. A closed user's comes one answer, one thought and one prompt's way after the end
    of an iteration: in step with the server if the thought is short beside an iteration, at any time if it is long.
    """
    classes, held = replica.classes, replica.held
    if classes.users[k] <= 0:
        return held.residual + _planned(replica)
    delay = classes.between[k]
    kept_busy = (1.0 - held.empty) ** (1.0 + delay / held.iteration)
    waits = kept_busy * (passage.prompt_end - delay) + (1.0 - kept_busy) * held.residual
    in_step = held.iteration / (held.iteration + classes.think[k])
    wait: Array = in_step * waits + (1.0 - in_step) * held.residual + _planned(replica)
    return wait


def _planned(replica: _Replica) -> Array:
    """Mean length of the step that is planned already when a job comes, shape (grid,); 0 unless planned ahead.

    It is there where some stream their tokens. Those who come back after a step began are too late for its plan: where
    only they have jobs, nothing is planned until a prompt does not fit into a step (`EngineSteps.staying`).
    """
    held, engine = replica.held, replica.time.engine
    if engine is None or not engine.ahead:
        return np.zeros(held.jobs.size)
    staying = ((held.decodes + held.prefills) * replica.classes.streamed).sum(axis=-1)
    staying = np.minimum(staying, 1.0)
    fixed = replica.time.intercept / np.maximum(held.iteration, NOBODY)
    staying = staying + (1.0 - staying) * engine.staying(held.decodes, held.prefills, held.empty, fixed)
    planned: Array = held.busy * staying * held.iteration
    return planned


def _gathering(replica: _Replica, own: Array, round_ms: Array) -> Array:
    """What a streamed session adds by being there: its longer iterations gather more of those who return in time.

    Returns come at a rate, so their jobs grow with the iteration: by 1 − T/C of its share, as their rounds C grow too.
    """
    classes, held = replica.classes, replica.held
    returning = held.decodes * ~classes.streamed
    turns = np.maximum(np.where(classes.streamed, np.inf, round_ms) / held.iteration[:, None], 1.0)
    echo = (returning * held.marginal * (1.0 - 1.0 / turns)).sum(axis=-1) / held.iteration
    echo = np.clip(echo, 0.0, STRONGEST_ECHO)[:, None]
    gathered: Array = (own - held.iteration[:, None]) * echo / (1.0 - echo)
    return gathered


def _queueing(replica: _Replica, round_ms: Array) -> Array:
    """Mean wait of a job for a place in the batch, shape (grid,): those left behind, by Little's law."""
    held, cap = replica.held, replica.cap
    decodes = held.decodes.sum(axis=-1)
    weighted = (round_ms * held.decodes).sum(axis=-1) / np.maximum(decodes, NOBODY)
    turns = np.where(decodes > NOBODY, weighted, round_ms.mean(axis=-1)) / held.iteration
    together = np.minimum(held.jobs + 1.0 / np.maximum(turns, 1.0), cap)
    behind = overflow(together, held.crowding, cap, 1.0 + turns)
    return np.where(held.alone, 0.0, behind / np.maximum(held.jobs, NOBODY) * held.iteration)


def _transient(replica: _Replica, round_ms: Array, prefill_ms: Array) -> Array:
    """Σ_i echo^i of the prefill iteration's excess, over the iterations that the session takes part in."""
    classes, held = replica.classes, replica.held
    excess = np.maximum(prefill_ms - held.iteration[:, None], 0.0)
    turns = np.where(classes.streamed, 1.0, np.maximum(round_ms / held.iteration[:, None], 1.0))
    ratio = held.echo[:, None] ** turns
    total: Array = excess * ratio * (1.0 - ratio**classes.rounds) / (1.0 - ratio)
    return total
