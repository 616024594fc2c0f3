"""The scheduler of an engine-like target: what its device says, and what it means where it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.fleet import Device

KV_BLOCK_TOKENS, MAX_SEQUENCES = 16, 256
"""Of an engine-like target that does not say."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Scheduler of an engine-like target. None: no limit."""

    block_tokens: int
    blocks: int | None
    """That sessions can hold: one of the device's is kept back."""
    sequences: int
    ahead: bool
    """The next step is planned while one is in flight."""
    prefix_cache: bool


def engine_settings(device: Device, kv_tokens: float | None) -> EngineSettings | None:
    """Engine-like where one of its keys is given."""
    keys = (device.max_sequences, device.kv_block_tokens, device.kv_blocks, device.async_scheduling)
    if all(key is None for key in (*keys, device.prefix_cache)):
        return None
    block = device.kv_block_tokens or KV_BLOCK_TOKENS
    blocks = device.kv_blocks
    if blocks is None and kv_tokens is not None:
        blocks = int(kv_tokens // block)
    return EngineSettings(
        block_tokens=block,
        blocks=None if blocks is None else max(blocks - 1, 0),
        sequences=device.max_sequences or MAX_SEQUENCES,
        ahead=bool(device.async_scheduling),
        prefix_cache=device.prefix_cache is not False,
    )
