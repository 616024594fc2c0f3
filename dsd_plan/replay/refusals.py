"""What a replay cannot do yet, or could never finish, named before it begins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsd_plan.domain.deployed import Deployed, Stream, TargetPool
from dsd_plan.domain.not_yet import PLAN, SCENARIO, not_yet_problems
from dsd_plan.errors import PlanError, Problem, ScenarioError


def refuse_unsupported(deployed: Deployed) -> None:
    """Raises ScenarioError or PlanError naming everything that a replay cannot do yet, or could never finish."""
    problems = (*not_yet_problems(deployed.scenario, SCENARIO), *_capped_drafts(deployed))
    if problems:
        raise ScenarioError(deployed.scenario.name, problems)
    never = (*_never_admitted(deployed), *_never_verified(deployed))
    problems = (*not_yet_problems(deployed.plan, PLAN), *never, *_unplayable_batching(deployed))
    if problems:
        raise PlanError(f"plan for {deployed.scenario.name}", problems)


def _capped_drafts(deployed: Deployed) -> Iterator[Problem]:
    """A cap on new tokens is played at targets, and must not be passed over where drafts run."""
    drafting = {pool.device.name for pool in deployed.drafts}
    for index, device in enumerate(deployed.scenario.devices):
        if device.name in drafting and device.token_cap is not None:
            yield Problem(
                f"devices[{index}].token_cap",
                "not supported yet: a draft device that chunks prefills; leave it out: drafts prefill prompts whole",
            )


def _unplayable_batching(deployed: Deployed) -> Iterator[Problem]:
    """Jobs of like size together: at plain targets that prefill prompts whole."""
    targets = {(pool.device.name, pool.model): pool for pool in deployed.targets}
    for index, deployment in enumerate(deployed.plan.deployments):
        if deployment.batching == "fifo":
            continue
        pool = targets.get((deployment.device, deployment.model))
        why = None
        if pool is None:
            why = "where a draft runs; give it to the target's deployment"
        elif pool.engine is not None:
            why = "at an engine-like target, which orders its steps itself; leave it out"
        elif pool.token_cap is not None:
            why = "beside a token_cap, which cuts long prefills; leave one of them out"
        if why is not None:
            yield Problem(f"deployments[{index}].batching", f'not supported yet: "{deployment.batching}" {why}')


def _never_verified(deployed: Deployed) -> Iterator[Problem]:
    """A plain server does not split a verify."""
    for index, stream in enumerate(deployed.streams):
        pool = deployed.targets[stream.target]
        paths = stream.assignment.candidates
        needed = paths * (stream.largest_window if stream.adapts else stream.window) + 1
        if pool.engine is None and pool.token_cap is not None and needed > pool.token_cap:
            yield Problem(
                f"assignments[{index}].window",
                f"a round verifies up to {needed} new tokens, an iteration of {pool.device.name!r} holds "
                f"{pool.token_cap} (token_cap), and a plain server does not split them; choose a smaller window"
                f"{' or fewer candidates' if paths > 1 else ''}, or a larger token_cap",
            )


def _never_admitted(deployed: Deployed) -> Iterator[Problem]:
    for index, stream in enumerate(deployed.streams):
        pool = deployed.targets[stream.target]
        if pool.engine is not None:
            yield from _never_fits(index, stream, pool)
            continue
        needed = int(np.max(np.add(stream.requests.prompt_tokens, stream.requests.output_tokens)))
        if pool.kv_tokens is not None and needed > pool.kv_tokens:
            yield Problem(
                f"assignments[{index}].target_device",
                f"a request of {stream.workload.name!r} needs {needed} tokens of KV, a replica of "
                f"{pool.device.name!r} holds {pool.kv_tokens:.0f}; choose a device with more memory",
            )


def _never_fits(index: int, stream: Stream, pool: TargetPool) -> Iterator[Problem]:
    """An engine-like server must be able to hold any one sequence with its proposals."""
    engine = pool.engine
    assert engine is not None
    tokens = int(np.max(np.add(stream.requests.prompt_tokens, stream.requests.output_tokens)))
    needed = -(-(tokens + stream.window * stream.assignment.candidates) // engine.block_tokens)
    if engine.blocks is not None and needed > engine.blocks:
        yield Problem(
            f"assignments[{index}].target_device",
            f"a request of {stream.workload.name!r} needs {needed} KV blocks, a replica of {pool.device.name!r} has "
            f"{engine.blocks} besides the one kept back; choose a device with more",
        )
