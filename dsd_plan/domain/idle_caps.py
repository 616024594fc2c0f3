"""Caps on a batch where nothing heeds them."""

from __future__ import annotations

from collections.abc import Iterator

from dsd_plan.domain.deployed import Deployed


def idle_cap_notes(deployed: Deployed) -> Iterator[str]:
    """A sentence for each engine-like target that is given a `batch_cap`: its scheduler counts sequences instead."""
    drafting = {pool.device.name for pool in deployed.drafts}
    planned = {(d.device, d.model): d.batch_cap for d in deployed.plan.deployments}
    for pool in deployed.targets:
        if pool.engine is None:
            continue
        of_plan = planned.get((pool.device.name, pool.model))
        # A device's own cap may be there for the drafts that it runs.
        of_device = None if pool.device.name in drafting else pool.device.batch_cap
        cap, where = (of_plan, "its deployment's ") if of_plan is not None else (of_device, "")
        if cap is not None:
            yield (
                f"{pool.device.name}: {where}batch_cap of {cap} is not heeded, for the target is engine-like: "
                f"max_sequences holds ({pool.engine.sequences}); leave batch_cap out"
            )
