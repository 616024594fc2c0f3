"""What a target adds to an iteration for every workload and gear: chords of its surface around half a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.scenario import Mode, Scenario
from dsd_plan.domain.step_time import StepSurface, decode_ms, prefill_ms, surface_of
from dsd_plan.model.traffic import Lengths

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

CONTEXT_NODES = 9
"""Contexts and prompts at which a device's times are worked out; between, they are interpolated."""


@dataclass(frozen=True, slots=True)
class Gear:
    """A way to serve a workload, the target's device aside."""

    mode: Mode
    pair: int = -1
    """Index into the scenario's pairs; -1: plain."""
    window: int = 0
    slot: int = -1
    """Which of the draft devices of the workload's site."""
    load: float = 0.0
    """Share of their time that the draft devices may draft."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetCosts:
    """What one target device adds to an iteration."""

    step: float
    cap: float
    verify: Array
    """Shape (w, g): of one decode or verify job, drafting beside it included."""
    prefill: Array
    """Shape (w, g)."""
    draft_step: float
    """One draft step of a fused session alone, of the pair that is drafted here."""
    fits: Flags
    """Shape (w, g): the device has the profiles, and memory for the models and a request."""
    kv_tokens: Array
    """Shape (g,): tokens of KV that a replica holds; infinite where unknown."""


def costs_on(scenario: Scenario, device: Device, gears: Sequence[Gear], lengths: Sequence[Lengths]) -> TargetCosts:
    """Costs on one device; where it lacks a profile or memory for a gear, that does not fit."""
    shape = (len(lengths), len(gears))
    verify, prefill, fits = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    kv_tokens = np.full(len(gears), np.inf)
    cap = float(device.batch_cap or 64)
    many = max(cap / 2.0, 2.0)
    contexts = np.array([length.context for length in lengths])
    nodes = np.unique(np.quantile(contexts, np.linspace(0.0, 1.0, CONTEXT_NODES)))
    step = draft_step = 0.0
    besides: dict[str | None, tuple[Array, Array]] = {}
    longest = np.array([length.most_kv for length in lengths])
    for target in dict.fromkeys(workload.target for workload in scenario.workloads):
        if target not in device.profiles:
            continue
        mine = np.array([workload.target == target for workload in scenario.workloads])
        surface = surface_of(device.profiles[target])
        prompts = _prefills(surface, lengths)
        alone, slopes = _chords(surface, sorted({gear.window + 1 for gear in gears}), nodes, many)
        step = alone
        for g, gear in enumerate(gears):
            if gear.pair >= 0 and scenario.pairs[gear.pair].target != target:
                continue
            draft = scenario.pairs[gear.pair].draft if gear.mode == "fused" else None
            room = _kv_room(scenario, device, target, draft)
            beside = None if draft is None else device.profiles.get(draft)
            if room is None or (draft is not None and beside is None):
                continue
            kv_tokens[g] = room
            each = np.interp(contexts, nodes, slopes[gear.window + 1])
            added = prompts
            if beside is not None:
                if draft not in besides:
                    drafts = surface_of(beside)
                    draft_step, draft_slopes = _chords(drafts, [1], nodes, many)
                    besides[draft] = np.interp(contexts, nodes, draft_slopes[1]), _prefills(drafts, lengths)
                draft_each, draft_added = besides[draft]
                each, added = each + gear.window * draft_each, added + draft_added
            verify[:, g] = np.where(mine, np.maximum(each, 0.0), verify[:, g])
            prefill[:, g] = np.where(mine, added, prefill[:, g])
            fits[:, g] |= mine & (longest <= room)
    return TargetCosts(step, cap, verify, prefill, draft_step, fits, kv_tokens)


def _prefills(surface: StepSurface, lengths: Sequence[Lengths]) -> Array:
    """What each workload's mean prefill adds to a step."""
    prefills = np.array([length.prefill for length in lengths])
    squares = np.array([length.prompt_square for length in lengths])
    nodes = np.unique(np.quantile(prefills, np.linspace(0.0, 1.0, 2 * CONTEXT_NODES)))
    alone = np.array([prefill_ms(surface, 1.0, float(node)) for node in nodes]) - float(surface.law[0])
    bent = float(surface.law[4]) * (squares - prefills**2)
    added: Array = np.maximum(np.interp(prefills, nodes, alone) + bent, 0.0)
    return added


def _chords(
    surface: StepSurface, tokens: Sequence[int], contexts: Array, many: float
) -> tuple[float, dict[int, Array]]:
    """(intercept, what a job of so many new tokens adds at each context): chords from one job to `many`."""
    alone = {q: np.array([decode_ms(surface, 1.0, float(q), float(c)) for c in contexts]) for q in tokens}
    together = {q: np.array([decode_ms(surface, many, float(q), float(c)) for c in contexts]) for q in tokens}
    slopes = {q: (together[q] - alone[q]) / (many - 1.0) for q in tokens}
    intercept = float(np.mean([alone[q] - slopes[q] for q in tokens]))
    return intercept, {q: slopes[q] + (alone[q] - slopes[q] - intercept) / many for q in tokens}


def _kv_room(scenario: Scenario, device: Device, target: str, draft: str | None) -> float | None:
    """KV tokens that a replica holds beside its models; None where these do not fit."""
    held = [scenario.model(name) for name in (target, draft) if name is not None]
    free_gib = device.memory_gib - sum(model.weights_gib or 0.0 for model in held)
    if free_gib <= 0.0:
        return None
    mib = sum(model.kv_mib_per_token or 0.0 for model in held)
    return free_gib * 1024.0 / mib if mib > 0.0 else np.inf


def prefill_alone_ms(surface: StepSurface, batch: float, length: Lengths) -> float:
    """Time of one step with a prompt of mean length, the quadratic part at its mean square."""
    bent = float(surface.law[4]) * (length.prompt_square - length.prefill**2)
    return prefill_ms(surface, batch, length.prefill) + bent
