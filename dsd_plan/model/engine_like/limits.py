"""How many sessions an engine-like replica runs, by its sequences or its KV blocks, and jobs by its token budget.

Those beyond wait outside, before their prefill, as sessions wait for memory on a plain server; docs/method.md,
"Engine-like targets".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import TargetPool
from dsd_plan.domain.engine_settings import EngineSettings
from dsd_plan.errors import BudgetError, PreemptionError, UnstableError
from dsd_plan.model.traffic import Demand

Array = NDArray[np.float64]

ROOM = 1.25
"""Jobs up to which steps are worked out, over the sessions that run: nobody queues for a place in a step."""

MOST_PREEMPTING = 0.02
"""Share of the time that KV blocks may be full before no number is given."""

MOST_FILLING = 0.85
"""Load up to which a plain server with a token budget is predicted."""


@dataclass(frozen=True, slots=True)
class Places:
    """Sessions that run at once on one replica."""

    sessions: float
    by: Literal["sequences", "KV blocks"]


def roomy(target: TargetPool, demands: Sequence[Demand], rates: Array) -> TargetPool:
    """The same pool; an engine-like one with room in its steps for everybody who runs.

    Where there is a token budget it takes no more jobs than that holds of the mean mix. `rates` are requests.
    """
    if target.engine is not None:
        target = replace(target, batch_cap=int(np.ceil(ROOM * target.engine.sequences)) + 4)
    if target.token_cap is None:
        return target
    return replace(target, batch_cap=max(round(min(target.batch_cap, jobs_in_budget(target, demands, rates))), 1))


def engine_places(target: TargetPool, engine: EngineSettings, demands: Sequence[Demand], shares: Array) -> Places:
    """Sessions that fit, of this mix. Raises UnstableError where a single request does not."""
    if engine.blocks is None:
        return Places(float(engine.sequences), "sequences")
    longest = max(_blocks(engine, demand.lengths.most_kv + demand.verified - 1.0) for demand in demands)
    if longest > engine.blocks:
        raise UnstableError(
            target.device.name,
            longest / max(engine.blocks, 1),
            f"its KV memory holds {engine.blocks} blocks, one request needs {longest:.0f}: it would wait for ever",
        )
    fit = engine.blocks / float(np.dot(shares, [held_blocks(engine, demand) for demand in demands]))
    if fit < engine.sequences:
        return Places(max(fit, 1.0), "KV blocks")
    return Places(float(engine.sequences), "sequences")


def held_blocks(engine: EngineSettings, demand: Demand) -> float:
    """KV blocks of a session, on average over its rounds: longer answers hold theirs for longer."""
    outputs = demand.lengths.output_law
    tokens = demand.lengths.prompt + (outputs.mean + outputs.variance / outputs.mean) / 2.0
    return (tokens + demand.verified - 1.0) / engine.block_tokens + 0.5 * (1.0 - 1.0 / engine.block_tokens)


def full_jobs(target: TargetPool, demands: Sequence[Demand], rates: Array) -> float:
    """Jobs of the mean mix in a full step: by sequences, KV blocks, or the budget of new tokens. `rates` are requests.

    Raises UnstableError where the blocks do not hold a single request.
    """
    return min(fitting_jobs(target, demands, rates), jobs_in_budget(target, demands, rates))


def jobs_in_budget(target: TargetPool, demands: Sequence[Demand], rates: Array) -> float:
    """Jobs of the mean mix whose new tokens a step's budget holds. `rates` are requests."""
    jobs = sum(rate * (demand.rounds.count.mean + 1.0) for rate, demand in zip(rates, demands, strict=True))
    tokens = sum(
        rate * (demand.rounds.count.mean * demand.verified + demand.lengths.prefill)
        for rate, demand in zip(rates, demands, strict=True)
    )
    if target.token_cap is None or tokens <= 0.0:
        return float("inf")
    return float(target.token_cap * jobs / tokens)


def check_verifies(target: TargetPool, demands: Sequence[Demand]) -> None:
    """Raises UnstableError where a round verifies more than a plain server's iteration holds: it does not split it."""
    if target.engine is not None or target.token_cap is None:
        return
    most = max(demand.verified for demand in demands)
    if most > target.token_cap:
        raise UnstableError(
            target.device.name,
            most / target.token_cap,
            f"a round verifies {most:.0f} new tokens, an iteration holds {target.token_cap} (token_cap), and a plain "
            "server does not split them: choose a smaller window or fewer candidates, or a larger token_cap",
        )


def fitting_jobs(target: TargetPool, demands: Sequence[Demand], rates: Array) -> float:
    """Jobs that the sessions bring who run at once: `batch_cap`, or as many sessions as KV blocks hold."""
    if target.engine is None:
        return float(target.batch_cap)
    jobs = np.array([rate * (demand.rounds.count.mean + 1.0) for rate, demand in zip(rates, demands, strict=True)])
    if not jobs.sum() > 0.0:
        return float(target.batch_cap)
    return min(float(target.batch_cap), engine_places(target, target.engine, demands, jobs / jobs.sum()).sessions)


def what_is_full(target: TargetPool, demands: Sequence[Demand], rates: Array) -> str:
    """What full steps run short of, as advice."""
    fitting = fitting_jobs(target, demands, rates)
    if full_jobs(target, demands, rates) < fitting:
        return (
            f"steps of {target.token_cap} new tokens cannot compute what is offered: add replicas, raise token_cap, "
            "or send less"
        )
    if fitting < target.batch_cap:
        return too_few_places(target, fitting)
    if target.engine is None:
        return full_batches(target)
    return (
        f"steps of {target.batch_cap} sequences cannot serve what is offered: add replicas, raise max_sequences, "
        "or send less"
    )


def full_batches(target: TargetPool) -> str:
    """The same of a plain server whose batches are full."""
    return (
        f"full batches of {target.batch_cap} cannot serve what is offered: add replicas, raise batch_cap, or send less"
    )


def too_few_places(target: TargetPool, places: float) -> str:
    """What sessions wait for, as advice."""
    assert target.engine is not None
    if places < target.engine.sequences:
        return (
            f"its KV blocks hold {places:.0f} live sessions, more are needed: add replicas or kv_blocks, or send less"
        )
    return f"{places:.0f} sequences run at once, more are needed: add replicas, raise max_sequences, or send less"


def check_budget(target: TargetPool, saturation: float) -> None:
    """Raises BudgetError where a plain server with a token budget has too much to do: `saturation` of what it can."""
    if target.engine is None and target.token_cap is not None and saturation > MOST_FILLING:
        raise BudgetError(target.device.name, saturation, target.token_cap)


def check_preemptions(target: TargetPool, places: float, full: float, mean: float) -> None:
    """Raises PreemptionError where KV blocks are `full` too much of the time; `mean` sessions are live on a replica."""
    if target.engine is not None and places < target.engine.sequences and full > MOST_PREEMPTING:
        raise PreemptionError(target.device.name, mean / places, full)


def _blocks(engine: EngineSettings, tokens: float) -> float:
    return float(np.ceil(tokens / engine.block_tokens))
