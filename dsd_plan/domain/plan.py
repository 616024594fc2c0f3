"""The answer's shape: who speculates where, in which mode, with which window, on how many devices."""

from __future__ import annotations

from typing import Literal

from dsd_plan.domain.modes import Mode
from dsd_plan.domain.records import Count, Name, Probability, record

PolicyKind = Literal["static", "threshold", "model_based", "wc_dnn"]
Routing = Literal["jsq", "round_robin", "random", "power_of_two", "least_expected_delay", "weighted"]


@record
class Policy:
    """How the window is chosen each round; `static` keeps the assignment's."""

    kind: PolicyKind = "static"
    smallest: Count = 1
    """Of a policy that adapts: windows are smallest … largest, and the assignment's is the first."""
    largest: Count | None = None
    """None: 12, or the largest that acceptance tells of."""
    grow_above: Probability = 0.8
    """threshold: smoothed share of accepted proposals above which the window grows by one."""
    shrink_below: Probability = 0.5
    """threshold: below which it shrinks by one."""
    smoothing: Probability = 0.3
    """threshold: weight of the last round in that share."""


@record
class Assignment:
    """How a workload, or a share of it, is served."""

    workload: Name
    mode: Mode
    target_device: Name
    share: Probability = 1.0
    draft_model: Name | None = None
    draft_device: Name | None = None
    """Where the draft runs; in fused mode this is the target device."""
    window: Count | None = None
    candidates: Count = 1
    routing: Routing = "jsq"
    draft_routing: Routing | None = None
    draft_devices_per_session: Count = 1
    policy: Policy = Policy()


@record
class Deployment:
    """A model on the first `count` replicas of a device type (per copy of the device's site)."""

    device: Name
    model: Name
    count: Count
    batch_cap: Count | None = None
    """None: the device's own cap."""
    batching: Literal["fifo", "length_aware"] = "fifo"


@record
class Plan:
    """Assignments of workloads, and the deployments that carry them."""

    scenario: Name
    assignments: tuple[Assignment, ...]
    deployments: tuple[Deployment, ...]
