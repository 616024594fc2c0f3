"""Random systems over the ranges that the model is meant for, at a chosen load."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Literal

import numpy as np

from dsd_plan.domain.deployed import AT_THE_EDGE, Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.scenario import Mode
from dsd_plan.replay.load import means, right_guesses, target_saturation, unloaded_ms
from tests.model.systems import Chat, system

Kind = Literal["open", "closed"]
Drafts = Literal["plenty", "shared"]
MIXED = "mixed"
BATCHED = "batched"
"""Distributed, on draft devices that take 2–8 jobs at once."""
PATHS = "paths"
"""Distributed with 2–4 candidate paths a round, on one device a session or more."""


def random_system(seed: int, mode: str, kind: Kind, drafts: Drafts = "plenty", most_load: float = 0.8) -> Deployed:
    """One to three streams of `mode` (three unlike ones if it is "mixed"), open or closed, at a load of 0.1 or more.

    RTT 1–100 ms, jitter cv 0–0.5, windows 1–10, acceptance 0.4–0.95, caps 8–64, prompts 50–1000 tokens, answers
    24–300. "shared" draft devices are 5–60 % busy; of "plenty" each sees hardly two sessions at once.
    """
    rng = np.random.default_rng(seed)
    step_ms = rng.uniform(10.0, 30.0)
    target = StepLaw(
        step_ms=step_ms,
        per_token_ms=step_ms * rng.uniform(0.003, 0.03),
        per_prompt_token_ms=step_ms * rng.uniform(0.001, 0.006),
        per_kv_token_us=0.0 if rng.random() < 0.6 else rng.uniform(0.05, 0.2),
    )
    fused = StepLaw(
        step_ms=step_ms * rng.uniform(0.04, 0.15),
        per_token_ms=target.per_token_ms * 0.05,
        per_prompt_token_ms=target.per_prompt_token_ms * 0.05,
    )
    cap = int(rng.choice([8, 16, 32, 64]))
    load = rng.uniform(0.1, most_load)
    many = 3 if mode == MIXED else int(rng.integers(1, 4))
    beside = rng.uniform(0.4, 0.95)
    chats = [_chat(rng, _mode(mode, k), beside) for k in range(many)]
    if mode == PATHS:
        chats = [_with_paths(rng, chat) for chat in chats]
    if mode == BATCHED:
        chats = [_with_batches(rng, chat) for chat in chats]
    chats = _loaded(chats, load, target, fused, cap)
    chats = [_drafted(rng, chat, drafts) for chat in chats]
    if kind == "closed":
        chats = _closed(rng, chats, target, fused, cap)
    return system(*chats, target=target, fused=fused, batch_cap=cap)


def _mode(mode: str, k: int) -> Mode:
    modes: tuple[Mode, ...] = ("target_only", "fused", "distributed", "pipelined")
    if mode in (PATHS, BATCHED):
        return "distributed"
    return modes[k % 3] if mode == MIXED else next(known for known in modes if known == mode)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _chat(rng: np.random.Generator, mode: Mode, beside: float) -> Chat:
    draft_ms = rng.uniform(2.0, 10.0)
    return Chat(
        mode=mode,
        rate_per_s=rng.uniform(0.2, 1.0),
        prompt=int(_log_uniform(rng, 50, 1000)),
        output=int(_log_uniform(rng, 24, 300)),
        window=int(rng.integers(1, 11)),
        # The draft beside the target is one for all streams, and so is its acceptance.
        per_token=beside if mode == "fused" else rng.uniform(0.4, 0.95),
        rtt_ms=_log_uniform(rng, 1.0, 100.0),
        jitter_cv=0.0 if rng.random() < 0.25 else rng.uniform(0.0, 0.5),
        edge=StepLaw(step_ms=draft_ms, per_prompt_token_ms=draft_ms * 0.03),
    )


def _with_paths(rng: np.random.Generator, chat: Chat) -> Chat:
    assert isinstance(chat.edge, StepLaw)
    paths = int(rng.integers(2, 5))
    edge = replace(chat.edge, per_token_ms=chat.edge.step_ms * rng.uniform(0.0, 0.2))
    tied = int(rng.integers(1, paths + 1))
    return replace(chat, candidates=paths, devices_per_session=tied, edge=edge, per_token=rng.uniform(0.3, 0.85))


def _with_batches(rng: np.random.Generator, chat: Chat) -> Chat:
    assert isinstance(chat.edge, StepLaw)
    edge = replace(chat.edge, per_token_ms=chat.edge.step_ms * rng.uniform(0.02, 0.4))
    return replace(chat, draft_cap=int(rng.integers(2, 9)), edge=edge)


def _loaded(chats: list[Chat], load: float, target: StepLaw, fused: StepLaw, cap: int) -> list[Chat]:
    deployed = system(*chats, target=target, fused=fused, batch_cap=cap)
    now = target_saturation(deployed, 0, [chat.rate_per_s or 0.0 for chat in chats])
    return [replace(chat, rate_per_s=(chat.rate_per_s or 0.0) * load / now) for chat in chats]


def _drafted(rng: np.random.Generator, chat: Chat, drafts: Drafts) -> Chat:
    if chat.mode not in AT_THE_EDGE or not isinstance(chat.edge, StepLaw):
        return chat
    stream = system(chat).streams[0]
    rounds = means(stream).rounds
    prefill_ms = chat.edge.step_ms + chat.edge.per_prompt_token_ms * chat.prompt
    offered = (
        chat.devices_per_session
        * (chat.rate_per_s or 0.0)
        * (rounds * (chat.window + right_guesses(stream)) * chat.edge.step_ms + prefill_ms)
        / 1000.0
    )
    wanted = offered / rng.uniform(0.05, 0.6) if drafts == "shared" else max(4.0, 200.0 * offered)
    return replace(chat, devices=max(chat.devices_per_session, ceil(wanted)))


def _closed(rng: np.random.Generator, chats: list[Chat], target: StepLaw, fused: StepLaw, cap: int) -> list[Chat]:
    deployed = system(*chats, target=target, fused=fused, batch_cap=cap)
    closed = []
    for chat, stream in zip(chats, deployed.streams, strict=True):
        think_s = rng.uniform(0.0, 5.0) if rng.random() < 0.8 else 0.0
        cycle_s = think_s + 1.1 * unloaded_ms(deployed, stream) / 1000.0
        users = max(1, round((chat.rate_per_s or 0.0) * cycle_s))
        closed.append(replace(chat, rate_per_s=None, users=users, think_s=think_s))
    return closed
