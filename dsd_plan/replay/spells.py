"""Questions to the table of spells: whether something is down, slow, or when it will be."""

from __future__ import annotations

from math import inf

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import DETOUR, NONE, SPELL, Row, World
from dsd_plan.replay.memory import row


@compiled
def factor_at(world: World, first: int, end: int, at_ms: float) -> float:
    """Product of the factors of the spells that hold at an instant."""
    factor = 1.0
    for i in range(first, end):
        spell = row(world.spells, SPELL, i)
        if spell.from_ms <= at_ms < spell.until_ms:
            factor *= spell.factor
    return factor


@compiled
def past(world: World, first: int, end: int, at_ms: float) -> float:
    """The instant itself, or the end of the spell that holds then."""
    for i in range(first, end):
        spell = row(world.spells, SPELL, i)
        if spell.from_ms <= at_ms < spell.until_ms:
            return spell.until_ms  # type: ignore[no-any-return]
    return at_ms


@compiled
def next_spell_ms(world: World, first: int, end: int, at_ms: float) -> float:
    """When the next spell begins after an instant."""
    for i in range(first, end):
        from_ms = row(world.spells, SPELL, i).from_ms
        if from_ms > at_ms:
            return from_ms  # type: ignore[no-any-return]
    return inf


@compiled
def detour_at(world: World, stream: Row, at_ms: float) -> int:
    """The detour in force on a stream's route; NONE while the route is whole."""
    for i in range(stream.detour, stream.detour_end):
        detour = row(world.detours, DETOUR, i)
        if detour.from_ms <= at_ms < detour.until_ms:
            return i
    return NONE


@compiled
def endured_ms(world: World, replica: Row, draft_ms: float, step_ms: float) -> tuple[float, float]:
    """The parts of an iteration that begins now: slower in a slow spell, cut off where the replica fails."""
    factor = factor_at(world, replica.slow, replica.slow_end, world.now_ms)
    draft_ms *= factor
    step_ms *= factor
    fails_ms = next_spell_ms(world, replica.fails, replica.fails_end, world.now_ms)
    if world.now_ms + (draft_ms + step_ms) < fails_ms:
        return draft_ms, step_ms
    replica.lost = 1
    draft_ms = min(draft_ms, fails_ms - world.now_ms)
    return draft_ms, fails_ms - world.now_ms - draft_ms
