"""How good a pair is: loss on text that it never saw, and how often the draft agrees with the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.pair.corpus import HELD_OUT, module_text
from dsd_plan.pair.prompts import Prompt
from dsd_plan.pair.sampling import SeededChance
from dsd_plan.pair.speculate import Speculation, speculate_argmax
from dsd_plan.pair.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of generated tokens at which the draft's proposal equalled the target's token, at temperature 1."""

    tokens: int
    overall: float
    by_task: dict[str, float]


def held_out_windows(length: int, every: int) -> NDArray[np.int64]:
    """Every ``every``-th window of ``length`` bytes of the held-out modules, int64[windows, length]."""
    windows = []
    for name in sorted(HELD_OUT):
        text = np.frombuffer(module_text(name).encode(), dtype=np.uint8)
        windows += [text[at : at + length] for at in range(0, len(text) - length + 1, length * every)]
    return np.stack(windows).astype(np.int64)


def bits_per_byte(model: Transformer, windows: NDArray[np.int64], batch: int = 16) -> float:
    """Mean cross-entropy of the next byte over ``windows``, in bits."""
    total, count = 0.0, 0
    for at in range(0, len(windows), batch):
        part = windows[at : at + batch]
        cache = model.new_cache(len(part), part.shape[1])
        logits = model.forward(part[:, :-1], cache).astype(np.float64)
        peak = logits.max(axis=-1)
        log_sum = peak + np.log(np.exp(logits - peak[..., None]).sum(axis=-1))
        chosen = np.take_along_axis(logits, part[:, 1:, None], axis=-1)[..., 0]
        total += float((log_sum - chosen).sum())
        count += chosen.size
    return total / count / float(np.log(2.0))


def run_prompts(
    target: Transformer,
    draft: Transformer,
    prompts: Sequence[Prompt],
    *,
    window: int,
    output_tokens: int,
    temperature: float,
    seed: int,
) -> tuple[Speculation, ...]:
    """Argmax speculation on all ``prompts`` together, each with its own generator spawned from ``seed``."""
    generators = np.random.default_rng(seed).spawn(len(prompts))
    return speculate_argmax(
        target,
        draft,
        [prompt.tokens for prompt in prompts],
        window=window,
        output_tokens=output_tokens,
        chance=SeededChance(generators),
        temperature=temperature,
    )


def agreement(prompts: Sequence[Prompt], outputs: Sequence[Speculation]) -> Agreement:
    """Agreement over all tokens, and over those of each task."""
    bits: dict[str, list[bool]] = {prompt.task: [] for prompt in prompts}
    for prompt, output in zip(prompts, outputs, strict=True):
        bits[prompt.task] += output.matches
    everything = [bit for of_task in bits.values() for bit in of_task]
    return Agreement(
        tokens=len(everything),
        overall=float(np.mean(everything)),
        by_task={task: float(np.mean(of_task)) for task, of_task in bits.items()},
    )
