"""Record how often a draft is accepted by its target, by really running both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsd_plan import __version__
from dsd_plan.domain.acceptance import Proposal, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.errors import InputError, Problem
from dsd_plan.measure.acceptance.logs import Completion
from dsd_plan.measure.machine import pinned_threads
from dsd_plan.pair.bundled import DRAFT_NAME, TARGET_NAME, load_draft, load_target, tokenizer_hash
from dsd_plan.pair.causal import CausalModel
from dsd_plan.pair.prompts import Prompt, library_prompts
from dsd_plan.pair.sampling import SeededChance
from dsd_plan.pair.speculate import Speculation, speculate_argmax, speculate_sampled
from dsd_plan.pair.transformer import Transformer

Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""
Form = Literal["tokens", "rounds"]
Model = TypeVar("Model", bound=CausalModel)

RECORDER = "dsd-plan recorder"
LOCKSTEP = 64
"""Requests of the bundled pair that run together."""


@dataclass(frozen=True, slots=True)
class RecordedPair(Generic[Model]):
    """A draft and its target, with the names that a trace carries."""

    target: Model
    draft: Model
    target_name: str
    draft_name: str
    tokenizer_hash: str
    max_context: int
    """Most tokens of prompt, output and window together."""
    lockstep: int = LOCKSTEP
    """Requests that run together."""
    stop: frozenset[int] = frozenset()
    """Tokens that end a request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How acceptance is recorded."""

    output_tokens: int = 160
    proposal: Proposal = "argmax"
    form: Form | None = None
    """None: tokens where the draft proposes one argmax path, else rounds."""
    window: int | None = None
    """None: 1 for tokens, whose match bits hold for every window, and 8 for rounds."""
    candidates: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    timed: bool = False
    """Whether rounds tell draft_ms and verify_ms; requests then run one at a time."""
    seed: int = 0
    threads: int = 1

    @property
    def used_form(self) -> Form:
        """The form asked for, or the one that tells most."""
        one_path = self.proposal == "argmax" and self.candidates == 1
        return self.form or ("tokens" if one_path and not self.timed else "rounds")

    @property
    def used_window(self) -> int:
        """The window asked for, or the cheapest that tells all."""
        return self.window or (1 if self.used_form == "tokens" else 8)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was accepted, and what was said."""

    trace: TokenTrace | RoundTrace
    completions: tuple[Completion, ...]


def bundled_pair() -> RecordedPair[Transformer]:
    """The pair that ships with the package."""
    target, draft = load_target(), load_draft()
    longest = min(target.shape.max_context, draft.shape.max_context)
    return RecordedPair(target, draft, TARGET_NAME, DRAFT_NAME, tokenizer_hash(), longest)


def record_acceptance(
    pair: RecordedPair[Any],
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
    """Run ``requests`` prompts of all kinds through a byte-level pair.

    Argmax proposals give a token trace, whose match bits hold for every window; ``window`` is then only how
    the run is done (1 unless given, the cheapest). Sampled proposals give a round trace for windows up to
    ``window`` (8 unless given). The same seed gives the same trace. Raises ``InputError`` where the running
    Python has no library sources to take prompts from.
    """
    prompts = library_prompts(requests, prompt_tokens=prompt_tokens, seed=seed)
    asked = Asked(
        output_tokens=output_tokens,
        proposal=proposal,
        window=window,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        threads=threads,
    )
    return record(pair, prompts, asked, on_progress).trace


def record(
    pair: RecordedPair[Any],
    prompts: Sequence[Prompt],
    asked: Asked,
    on_progress: Progress | None = None,
) -> Recording:
    """Speculate on ``prompts``; one seed gives one recording, but for its times.

    Raises ``InputError`` for what does not fit together and for prompts that are too long.
    """
    _check(pair, prompts, asked)
    generators = np.random.default_rng(asked.seed).spawn(len(prompts))
    speculate = speculate_argmax if asked.proposal == "argmax" else speculate_sampled
    together = 1 if asked.timed else pair.lockstep
    outputs: list[Speculation] = []
    with pinned_threads(asked.threads):
        for at in range(0, len(prompts), together):
            outputs += speculate(
                pair.target,
                pair.draft,
                [prompt.tokens for prompt in prompts[at : at + together]],
                window=asked.used_window,
                output_tokens=asked.output_tokens,
                chance=SeededChance(generators[at : at + together]),
                temperature=asked.temperature,
                top_p=asked.top_p,
                candidates=asked.candidates,
                stop=pair.stop,
                stopwatch_ms=_wall_ms if asked.timed else None,
            )
            if on_progress is not None:
                on_progress(len(outputs), len(prompts), f"{pair.draft_name} for {pair.target_name}: requests recorded")
    metadata = TraceMetadata(
        draft=pair.draft_name,
        target=pair.target_name,
        tokenizer_hash=pair.tokenizer_hash,
        proposal=asked.proposal,
        recorder=RECORDER,
        version=__version__,
        temperature=asked.temperature,
        top_p=asked.top_p,
        candidates=asked.candidates,
    )
    make = token_trace if asked.used_form == "tokens" else round_trace
    said = tuple(
        Completion(prompt.tokens, output.tokens, prompt.task or None)
        for prompt, output in zip(prompts, outputs, strict=True)
    )
    return Recording(make(metadata, prompts, outputs), said)


def _check(pair: RecordedPair[Any], prompts: Sequence[Prompt], asked: Asked) -> None:
    problems = []
    if asked.used_form == "tokens" and asked.proposal == "sampled":
        problems.append(
            Problem("--form tokens", "sampled proposals are accepted by chance, not by match: --form rounds")
        )
    if asked.used_form == "tokens" and asked.candidates > 1:
        problems.append(Problem("--form tokens", "with several candidate paths a match depends on its round: rounds"))
    if asked.timed and asked.used_form == "tokens":
        problems.append(Problem("--timed", "a token has no draft and verify time of its own: --form rounds"))
    if not prompts:
        problems.append(Problem("prompts", "there are none"))
    room = pair.max_context - asked.output_tokens - asked.used_window
    long = [index for index, prompt in enumerate(prompts) if len(prompt.tokens) > room]
    if long:
        problems.append(
            Problem(
                f"prompt {long[0] + 1}",
                f"{len(prompts[long[0]].tokens)} tokens, {asked.output_tokens} of output and a window of "
                f"{asked.used_window} are more than the {pair.max_context} that both models take ({len(long)} such "
                "prompts); shorten them, or --output-tokens",
            )
        )
    empty = [index for index, prompt in enumerate(prompts) if not prompt.tokens]
    if empty:
        problems.append(Problem(f"prompt {empty[0] + 1}", "has no tokens"))
    if problems:
        raise InputError("trace record", problems)


def _wall_ms() -> float:
    return 1000.0 * time.perf_counter()


def token_trace(metadata: TraceMetadata, prompts: Sequence[Prompt], outputs: Sequence[Speculation]) -> TokenTrace:
    """One row a generated token of ``outputs``, request i from ``prompts[i]``."""
    lengths = [len(output.tokens) for output in outputs]
    starts = np.array([len(prompt.tokens) for prompt in prompts], dtype=np.int64)
    positions = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    return TokenTrace(
        metadata=metadata,
        request_id=np.repeat(np.arange(len(outputs), dtype=np.int64), lengths),
        match=np.array([bit for output in outputs for bit in output.matches], dtype=np.uint8),
        task=_tasks(prompts, lengths),
        confidence=np.array([value for output in outputs for value in output.confidence]),
        context_tokens=np.repeat(starts, lengths) + positions,
    )


def round_trace(metadata: TraceMetadata, prompts: Sequence[Prompt], outputs: Sequence[Speculation]) -> RoundTrace:
    """One row a round of ``outputs``, request i from ``prompts[i]``."""
    counts = [len(output.rounds) for output in outputs]
    rounds = [done for output in outputs for done in output.rounds]
    context = [
        len(prompt.tokens) + np.cumsum([0, *(done.accepted + 1 for done in output.rounds[:-1])])
        for prompt, output in zip(prompts, outputs, strict=True)
    ]
    timed = all(done.draft_ms is not None and done.verify_ms is not None for done in rounds)
    return RoundTrace(
        metadata=metadata,
        request_id=np.repeat(np.arange(len(outputs), dtype=np.int64), counts),
        proposed=np.array([done.proposed for done in rounds], dtype=np.int64),
        accepted=np.array([done.accepted for done in rounds], dtype=np.int64),
        task=_tasks(prompts, counts),
        context_tokens=np.concatenate(context).astype(np.int64),
        candidates=None if metadata.candidates is None else np.full(len(rounds), metadata.candidates, dtype=np.int64),
        draft_ms=np.array([done.draft_ms for done in rounds], dtype=np.float64) if timed else None,
        verify_ms=np.array([done.verify_ms for done in rounds], dtype=np.float64) if timed else None,
    )


def _tasks(prompts: Sequence[Prompt], counts: Sequence[int]) -> NDArray[np.str_] | None:
    """Each prompt's task once a row; None where prompts have none."""
    if not all(prompt.task for prompt in prompts):
        return None
    return np.repeat(np.array([prompt.task for prompt in prompts]), counts)
