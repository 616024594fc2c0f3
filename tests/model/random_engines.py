"""Random engine-like servers, at a chosen load."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.load import target_saturation
from tests.model.random_systems import MIXED, Drafts, Kind, _chat, _closed, _drafted, _mode
from tests.model.systems import system


def random_engine(
    seed: int, mode: str, kind: Kind, drafts: Drafts = "plenty", load: tuple[float, float] = (0.1, 0.9)
) -> Deployed:
    """One or two streams of `mode` (three unlike ones if it is "mixed") on one engine-like server.

    Step laws with KV reads (dearer beside a prefill in half of them), prompts' quadratic term or knots in some; 16 to
    256 sequences, 512 to 8,192 tokens a step, a step planned ahead in half, blocks of 16 tokens, KV for 0.7 to 3 times
    what as many sequences of mean length hold; a prefix cache in half, which only preempted sessions use.
    """
    rng = np.random.default_rng(seed)
    step_ms = rng.uniform(10.0, 30.0)
    per_token_ms = step_ms * rng.uniform(0.002, 0.02)
    kv_us = rng.uniform(0.05, 0.3)
    knots = None
    if rng.random() < 0.3:
        knots = ((1.0, step_ms), (64.0, step_ms + 40.0 * per_token_ms), (4096.0, step_ms + 3000.0 * per_token_ms))
    target = StepLaw(
        step_ms=step_ms,
        per_token_ms=per_token_ms,
        per_prompt_token_ms=0.0 if knots else step_ms * rng.uniform(0.001, 0.006),
        per_kv_token_us=kv_us,
        mixed_kv_token_us=rng.uniform(0.3, 2.0) * kv_us if rng.random() < 0.5 else None,
        per_prompt_token_sq_us=rng.uniform(0.0, 0.02) if rng.random() < 0.3 else None,
        knots=knots,
    )
    fused = StepLaw(step_ms=step_ms * rng.uniform(0.04, 0.15), per_token_ms=per_token_ms * 0.05)
    sequences = int(rng.choice([16, 32, 64, 128, 256]))
    share = rng.uniform(*load)
    beside = rng.uniform(0.4, 0.95)
    chats = [_chat(rng, _mode(mode, k), beside) for k in range(3 if mode == MIXED else int(rng.integers(1, 3)))]
    longest = sum(chat.prompt + chat.output for chat in chats) / len(chats)
    engine = {
        "max_sequences": sequences,
        "token_cap": int(rng.choice([512, 1024, 2048, 8192])),
        "async_scheduling": bool(rng.random() < 0.5),
        "kv_block_tokens": 16,
        "kv_blocks": int(sequences * longest / 16 * np.exp(rng.uniform(np.log(0.7), np.log(3.0)))) + 1,
        "prefix_cache": bool(seed % 4 < 2),
    }
    deployed = system(*chats, target=target, fused=fused, engine=engine)
    now = target_saturation(deployed, 0, [chat.rate_per_s or 0.0 for chat in chats])
    chats = [replace(chat, rate_per_s=(chat.rate_per_s or 0.0) * share / now) for chat in chats]
    chats = [_drafted(rng, chat, drafts) for chat in chats]
    if kind == "closed":
        chats = _closed(rng, chats, target, fused, sequences)
    return system(*chats, target=target, fused=fused, engine=engine)
