"""Record how often a draft is accepted by its target, by really running both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dsd_plan import __version__
from dsd_plan.domain.acceptance import Proposal, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.measure.machine import pinned_threads
from dsd_plan.pair.bundled import DRAFT_NAME, TARGET_NAME, load_draft, load_target, tokenizer_hash
from dsd_plan.pair.prompts import Prompt, library_prompts
from dsd_plan.pair.sampling import SeededChance
from dsd_plan.pair.speculate import Speculation, speculate_argmax, speculate_sampled
from dsd_plan.pair.transformer import Transformer

Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""

RECORDER = "dsd-plan recorder"
LOCKSTEP = 64
"""Requests that run together."""


@dataclass(frozen=True, slots=True)
class RecordedPair:
    """A draft and its target, with the names that a trace carries."""

    target: Transformer
    draft: Transformer
    target_name: str
    draft_name: str
    tokenizer_hash: str


def bundled_pair() -> RecordedPair:
    """The pair that ships with the package."""
    return RecordedPair(load_target(), load_draft(), TARGET_NAME, DRAFT_NAME, tokenizer_hash())


def record_acceptance(
    pair: RecordedPair,
    *,
    requests: int = 192,
    prompt_tokens: int = 128,
    output_tokens: int = 160,
    proposal: Proposal = "argmax",
    window: int | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    threads: int = 1,
    on_progress: Progress | None = None,
) -> TokenTrace | RoundTrace:
    """Run ``requests`` prompts of all kinds through the pair.

    Argmax proposals give a token trace, whose match bits hold for every window; ``window`` is then only how
    the run is done (1 unless given, the cheapest). Sampled proposals give a round trace for windows up to
    ``window`` (8 unless given). The same seed gives the same trace. Raises ``InputError`` where the running
    Python has no library sources to take prompts from.
    """
    prompts = library_prompts(requests, prompt_tokens=prompt_tokens, seed=seed)
    generators = np.random.default_rng(seed).spawn(requests)
    speculate = speculate_argmax if proposal == "argmax" else speculate_sampled
    used_window = window if window is not None else (1 if proposal == "argmax" else 8)
    outputs: list[Speculation] = []
    with pinned_threads(threads):
        for at in range(0, requests, LOCKSTEP):
            together = prompts[at : at + LOCKSTEP]
            outputs += speculate(
                pair.target,
                pair.draft,
                [prompt.tokens for prompt in together],
                window=used_window,
                output_tokens=output_tokens,
                chance=SeededChance(generators[at : at + LOCKSTEP]),
                temperature=temperature,
                top_p=top_p,
            )
            if on_progress is not None:
                on_progress(len(outputs), requests, f"{pair.draft_name} for {pair.target_name}: requests recorded")
    metadata = TraceMetadata(
        draft=pair.draft_name,
        target=pair.target_name,
        tokenizer_hash=pair.tokenizer_hash,
        proposal=proposal,
        recorder=RECORDER,
        version=__version__,
        temperature=temperature,
    )
    if proposal == "argmax":
        return token_trace(metadata, prompts, outputs)
    return round_trace(metadata, prompts, outputs)


def token_trace(metadata: TraceMetadata, prompts: Sequence[Prompt], outputs: Sequence[Speculation]) -> TokenTrace:
    """One row a generated token of ``outputs``, request i from ``prompts[i]``."""
    lengths = [len(output.tokens) for output in outputs]
    starts = np.array([len(prompt.tokens) for prompt in prompts], dtype=np.int64)
    positions = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    return TokenTrace(
        metadata=metadata,
        request_id=np.repeat(np.arange(len(outputs), dtype=np.int64), lengths),
        match=np.array([bit for output in outputs for bit in output.matches], dtype=np.uint8),
        task=np.repeat(np.array([prompt.task for prompt in prompts]), lengths),
        confidence=np.array([value for output in outputs for value in output.confidence]),
        context_tokens=np.repeat(starts, lengths) + positions,
    )


def round_trace(metadata: TraceMetadata, prompts: Sequence[Prompt], outputs: Sequence[Speculation]) -> RoundTrace:
    """One row a round of ``outputs``, request i from ``prompts[i]``."""
    counts = [len(output.rounds) for output in outputs]
    rounds = [done for output in outputs for done in output.rounds]
    return RoundTrace(
        metadata=metadata,
        request_id=np.repeat(np.arange(len(outputs), dtype=np.int64), counts),
        proposed=np.array([done.proposed for done in rounds], dtype=np.int64),
        accepted=np.array([done.accepted for done in rounds], dtype=np.int64),
        task=np.repeat(np.array([prompt.task for prompt in prompts]), counts),
    )
