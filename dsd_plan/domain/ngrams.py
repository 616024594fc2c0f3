"""N-gram drafts: proposals looked up in the text itself, at no cost, wherever the target runs."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.fleet import Device, ModelSpec
from dsd_plan.domain.profile import LatencyProfile, StepLaw, declared_profile
from dsd_plan.domain.scenario import Scenario


def with_ngrams(scenario: Scenario) -> Scenario:
    """The scenario with n-gram drafts as models without weights, whose steps take no time on any device of the target.

    The same where it has none, or has been through here.
    """
    tables = [pair for pair in scenario.pairs if pair.kind == "ngram"]
    if not tables:
        return scenario
    known = {model.name for model in scenario.models}
    added = tuple(
        ModelSpec(name=name, weights_gib=0.0, kv_mib_per_token=0.0)
        for name in dict.fromkeys(pair.draft for pair in tables)
        if name not in known
    )
    devices = tuple(_with_tables(device, {pair.draft: pair.target for pair in tables}) for device in scenario.devices)
    if not added and devices == scenario.devices:
        return scenario
    return replace(scenario, models=(*scenario.models, *added), devices=devices)


def _with_tables(device: Device, targets: dict[str, str]) -> Device:
    added = {
        draft: declared_profile(device.name, draft, StepLaw(step_ms=0.0, active_w=device.profiles[target].active_w))
        for draft, target in targets.items()
        if target in device.profiles and draft not in device.profiles
    }
    return replace(device, profiles={**device.profiles, **added}) if added else device


def costs_nothing(profile: LatencyProfile) -> bool:
    """Whether a step takes no time at all, as an n-gram's: there is nothing to measure."""
    law = profile.fit.law
    times = (law.step_ms, law.per_token_ms, law.per_prompt_token_ms, law.per_kv_token_us, law.knots)
    return not profile.points and not any(times)
