"""Keys of schema 1 that are read and checked but whose capability is still to come.

Setting one of them to a value that would change a result is an error that says what it would do and how to do
without it; it is never ignored. This table is the only list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsd_plan.domain.engine_settings import engine_settings
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario, Search
from dsd_plan.errors import Problem

DEFAULT_MODES = Search().modes


@dataclass(frozen=True, slots=True)
class NotYet:
    """A key, the values of it that work today, what the others would do, and how to do without."""

    key: str
    """Path of the key: `[]` stands for every item of a list or table."""
    works: Callable[[Any], bool]
    does: str
    instead: str
    replayed: bool = False
    """The event replay can do it, the analytic model cannot yet."""

    def problem(self, place: str, found: object) -> Problem:
        """The message for a value that does not work today."""
        if self.replayed:
            why = f"the analytic model cannot predict {self.does} yet (found {found})"
            return Problem(place, f"{why}; `dsd-plan replay` can play it, or {self.instead}")
        return Problem(place, f"not supported yet: {self.does} (found {found}); {self.instead}")


def only(*values: object) -> Callable[[Any], bool]:
    """True for these values alone."""
    return lambda found: found in values


SCENARIO: tuple[NotYet, ...] = (
    NotYet(
        "pairs[].verify_via",
        only("native"),
        "verification by sending the context again, or pulled by the target",
        'leave it out: `verify_via = "native"` keeps the KV cache on the target',
    ),
    NotYet(
        "workloads[].budgets.pace_tokens_per_s",
        only(None),
        "budgets on the pace at which people read",
        "give a tpot or itl budget instead",
    ),
    NotYet(
        "workloads[].budgets.stall_share",
        only(None),
        "budgets on the share of stalled reading",
        "give an itl budget instead",
    ),
)

PLAN: tuple[NotYet, ...] = (
    NotYet(
        "assignments[].policy.kind",
        only("static", "threshold"),
        "the policies model_based and wc_dnn",
        'use "threshold", or leave `policy` out: "static" keeps `window`',
    ),
    NotYet(
        "assignments[].policy.kind",
        lambda kind: kind != "threshold",
        "windows that adapt from round to round",
        'leave `policy` out: "static" keeps `window`',
        replayed=True,
    ),
    NotYet(
        "deployments[].batching",
        only("fifo"),
        "batches of jobs of like size",
        'leave it out: "fifo"',
        replayed=True,
    ),
)

TOKEN_CAP = NotYet(
    "devices[].token_cap",
    only(None),
    "a draft device that chunks prefills",
    "leave it out: drafts prefill prompts whole",
)
MIXED_KV = NotYet(
    "devices[].profiles[].fit.law.mixed_kv_token_us",
    only(None),
    "a dearer KV read of a draft model where a prefill shares its batch",
    "leave it out, and fold it into per_kv_token_us",
    replayed=True,
)

DRAFT_BATCH_CAP = NotYet(
    "deployments[].batch_cap",
    only(1),
    "batched drafting where drafts go on ahead (pipelined), or where a session has several draft devices",
    "give the draft's deployment a batch_cap of 1",
    replayed=True,
)

PRIORITIES = NotYet(
    "workloads[].priority",
    only(0),
    "serving one workload before another",
    "leave it out",
    replayed=True,
)


def not_yet_problems(thing: object, table: tuple[NotYet, ...]) -> tuple[Problem, ...]:
    """One problem for every value in `thing` (a Scenario or a Plan) that nothing here can do yet."""
    return _problems(thing, tuple(entry for entry in table if not entry.replayed))


def not_predicted_problems(thing: object, table: tuple[NotYet, ...]) -> tuple[Problem, ...]:
    """One problem for every value in `thing` that only the replay can do."""
    return _problems(thing, tuple(entry for entry in table if entry.replayed))


def not_predicted_scenario(scenario: Scenario) -> tuple[Problem, ...]:
    """One problem for everything in a scenario that only the replay can do."""
    return (
        *not_predicted_problems(scenario, SCENARIO),
        *draft_device_problems(scenario),
        *priority_problems(scenario),
    )


def priority_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """One problem for every workload that comes before another: only the replay can do that. Equal ones do nothing."""
    lowest = min((workload.priority for workload in scenario.workloads), default=0)
    return tuple(
        PRIORITIES.problem(f"workloads[{index}].priority", workload.priority)
        for index, workload in enumerate(scenario.workloads)
        if workload.priority > lowest
    )


def draft_device_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """One problem for every key that the model knows of targets alone, on a device or a model that only drafts."""
    targets = {workload.target for workload in scenario.workloads}
    found: list[Problem] = []
    for index, device in enumerate(scenario.devices):
        if engine_settings(device, None) is not None:
            continue
        place = f"devices[{index}]"
        if not targets.intersection(device.profiles) and not TOKEN_CAP.works(device.token_cap):
            found.append(TOKEN_CAP.problem(f"{place}.token_cap", device.token_cap))
        for model, profile in device.profiles.items():
            value = profile.fit.law.mixed_kv_token_us
            if model not in targets and not MIXED_KV.works(value):
                found.append(MIXED_KV.problem(f'{place}.profiles["{model}"].law.mixed_kv_token_us', value))
    return tuple(found)


def batched_draft_problems(scenario: Scenario, plan: Plan) -> tuple[Problem, ...]:
    """One problem for every edge draft whose device takes several jobs at once where only the replay can play that."""
    drafting = {
        (a.draft_device, a.draft_model)
        for a in plan.assignments
        if a.mode == "pipelined" or (a.mode == "distributed" and a.draft_devices_per_session > 1)
    }
    caps = {device.name: device.batch_cap for device in scenario.devices}
    return tuple(
        DRAFT_BATCH_CAP.problem(f"deployments[{index}].batch_cap", cap)
        for index, deployment in enumerate(plan.deployments)
        if (deployment.device, deployment.model) in drafting
        and not DRAFT_BATCH_CAP.works(cap := deployment.batch_cap or caps.get(deployment.device) or 1)
    )


def _problems(thing: object, table: tuple[NotYet, ...]) -> tuple[Problem, ...]:
    return tuple(
        entry.problem(place, _shown(value))
        for entry in table
        for place, value in _values(thing, entry.key.split("."))
        if not entry.works(value)
    )


def _values(thing: Any, path: list[str], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that the path leads to, with its place as users write it."""
    if not path:
        yield place, thing
        return
    name, each = path[0].removesuffix("[]"), path[0].endswith("[]")
    value = getattr(thing, name)
    # A profile's law is `law` where it is written into a scenario.
    here = place if name == "fit" else f"{place}.{name}" if place else name
    if not each:
        yield from _values(value, path[1:], here)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _values(item, path[1:], f'{here}["{key}"]')
    else:
        for index, item in enumerate(value):
            yield from _values(item, path[1:], f"{here}[{index}]")


def _shown(value: object) -> str:
    if isinstance(value, str | int | float):
        return f"{value}"
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return "one"
