"""Small systems to predict: one target device, a site and a link for each stream, declared laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsd_plan.domain.acceptance import Acceptance, AcceptanceLaw
from dsd_plan.domain.deployed import AT_THE_EDGE, Deployed, deploy
from dsd_plan.domain.fleet import Device, Link, ModelSpec, Site
from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Routing
from dsd_plan.domain.profile import LatencyProfile, StepLaw, declared_profile
from dsd_plan.domain.scenario import Mode, Pair, Scenario
from dsd_plan.domain.workload import Budgets, ClosedRequests, PoissonRequests, Requests, Workload

TARGET_LAW = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.05, active_w=600.0)
FUSED_LAW = StepLaw(step_ms=2.0, per_token_ms=0.01, per_prompt_token_ms=0.004, active_w=400.0)
EDGE_LAW = StepLaw(step_ms=5.0, per_prompt_token_ms=0.1, active_w=30.0)


@dataclass(frozen=True)
class Chat:
    """One stream, with its own site and link."""

    mode: Mode = "distributed"
    rate_per_s: float | None = 1.0
    """None: `users` instead."""
    users: int = 1
    think_s: float = 0.0
    prompt: int = 200
    output: int = 101
    requests: Requests | None = None
    """Instead of all of these."""
    window: int = 4
    per_token: float = 0.7
    acceptance: Acceptance | None = None
    rtt_ms: float = 20.0
    jitter_cv: float = 0.0
    mbps: float | None = None
    loss: float = 0.0
    candidates: int = 1
    devices_per_session: int = 1
    draft_cap: int = 1
    devices: int = 1000
    """Edge devices; so many that a queue at one of them is no matter unless a test makes it so."""
    edge: LatencyProfile | StepLaw = EDGE_LAW
    budgets: Budgets = field(default_factory=Budgets)

    def asked(self) -> Requests:
        if self.requests is not None:
            return self.requests
        lengths = {"prompt_tokens": self.prompt, "output_tokens": self.output}
        if self.rate_per_s is not None:
            return PoissonRequests(rate_per_s=self.rate_per_s, **lengths)
        return ClosedRequests(users=self.users, think_s=self.think_s, **lengths)


def system(
    *chats: Chat,
    target: LatencyProfile | StepLaw = TARGET_LAW,
    fused: LatencyProfile | StepLaw = FUSED_LAW,
    replicas: int = 1,
    batch_cap: int = 32,
    routing: Routing = "jsq",
    memory_gib: float = 141.0,
    kv_mib_per_token: float | None = None,
    idle_w: float | None = 75.0,
    engine: Mapping[str, int | bool] | None = None,
) -> Deployed:
    """A deployed plan that serves these streams on one target device; `engine` are keys of an engine-like one."""
    sites, links, workloads = [Site(name="region")], [], []
    assignments, deployments = [], [Deployment(device="gpu", model="big", count=replicas, batch_cap=batch_cap)]
    devices = [
        Device(
            name="gpu",
            site="region",
            count=replicas,
            memory_gib=memory_gib,
            idle_w=idle_w,
            cost_per_hour=4.0,
            profiles={"big": profile("gpu", "big", target), "beside": profile("gpu", "beside", fused)},
            **(engine or {}),
        )
    ]
    pairs, models = [], [ModelSpec(name="big", weights_gib=60.0, kv_mib_per_token=kv_mib_per_token)]
    if any(chat.mode == "fused" for chat in chats):
        models.append(ModelSpec(name="beside", weights_gib=2.0))
        deployments.append(Deployment(device="gpu", model="beside", count=replicas))
    for i, chat in enumerate(chats):
        site, device, draft = f"site{i}", f"edge{i}", f"small{i}"
        law = chat.acceptance or AcceptanceLaw(per_token=chat.per_token)
        sites.append(Site(name=site))
        links.append(
            Link(
                between=(site, "region"),
                rtt_ms=chat.rtt_ms,
                jitter_cv=chat.jitter_cv,
                loss=chat.loss,
                uplink_mbps=chat.mbps,
                downlink_mbps=chat.mbps,
            )
        )
        workloads.append(
            Workload(name=f"chat{i}", site=site, target="big", requests=chat.asked(), budgets=chat.budgets)
        )
        if chat.mode in AT_THE_EDGE:
            models.append(ModelSpec(name=draft, weights_gib=1.0))
            devices.append(
                Device(
                    name=device,
                    site=site,
                    count=chat.devices,
                    memory_gib=8.0,
                    idle_w=5.0,
                    cost_per_hour=0.1,
                    profiles={draft: profile(device, draft, chat.edge)},
                )
            )
            deployments.append(Deployment(device=device, model=draft, count=chat.devices, batch_cap=chat.draft_cap))
        else:
            device, draft = "gpu", "beside"
        if not any((pair.draft, pair.target) == (draft, "big") for pair in pairs) and chat.mode != "target_only":
            pairs.append(Pair(draft=draft, target="big", acceptance=law))
        assignments.append(
            Assignment(workload=f"chat{i}", mode="target_only", target_device="gpu", routing=routing)
            if chat.mode == "target_only"
            else Assignment(
                workload=f"chat{i}",
                mode=chat.mode,
                draft_model=draft,
                draft_device=device,
                target_device="gpu",
                window=chat.window,
                candidates=chat.candidates,
                draft_devices_per_session=chat.devices_per_session,
                routing=routing,
            )
        )
    scenario = Scenario(
        name="test",
        sites=tuple(sites),
        links=tuple(links),
        models=tuple(models),
        devices=tuple(devices),
        pairs=tuple(pairs),
        workloads=tuple(workloads),
    )
    plan = Plan(scenario="test", assignments=tuple(assignments), deployments=tuple(deployments))
    return deploy(scenario, plan)


def profile(device: str, model: str, law: LatencyProfile | StepLaw) -> LatencyProfile:
    """A profile as it is, or a law declared."""
    return declared_profile(device, model, law) if isinstance(law, StepLaw) else law


def mean(latency: Quantiles) -> float:
    """Its mean, which must be known."""
    assert latency.mean is not None
    return latency.mean
