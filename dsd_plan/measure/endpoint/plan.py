"""What is asked of a serving engine, and what is kept of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log
from typing import Literal

import numpy as np

from dsd_plan.domain.records import Count, Natural, NonNegative, Positive, record
from dsd_plan.errors import MeasurementError

Api = Literal["auto", "completions", "chat"]
Phase = Literal["alone", "idle", "closed", "inject", "open"]

IDLE_REQUESTS = 3
"""Requests one after the other in one visit to a prompt length."""
INJECTIONS = 3
OPEN_SHARE = 0.25
MOST_PREFILL = 0.4
"""Load that the open run aims at: mean streams as a share of the largest concurrency, and time in prefills."""


@record
class EndpointSettings:
    """Levels, lengths and limits of one run. Lengths are in the server's tokens."""

    contexts: tuple[Count, ...] = (256, 4096)
    """Prompts under the decode steps of phases alone and closed."""
    prompts: tuple[Count, ...] = (128, 512, 1024, 2048, 4096, 8192)
    """Prompts whose idle TTFT is measured."""
    concurrencies: tuple[Count, ...] = (2, 8, 32)
    output_tokens: Count = 64
    inject_tokens: Count = 2048
    open_requests: Natural = 60
    rounds: Count = 5
    budget_s: Positive = 300.0
    request_timeout_s: Positive = 120.0
    stall_s: Positive = 30.0
    """Longest silence of a stream, and longest wait for a connection."""
    seed: Natural = 0
    tokens_per_word: Positive | None = None
    """For a server that does not report usage: how many tokens a word of the prompts has."""
    api: Api = "auto"


@record
class Trial:
    """One visit to one level."""

    phase: Phase
    concurrency: Count
    prompt_tokens: Count
    output_tokens: Count
    round: Natural

    @property
    def level(self) -> tuple[str, int, int]:
        """What is repeated from round to round."""
        return self.phase, self.concurrency, self.prompt_tokens

    @property
    def name(self) -> str:
        """For people."""
        if self.phase == "idle":
            return f"idle TTFT of {self.prompt_tokens} tokens, round {self.round + 1}"
        if self.phase == "open":
            return "open run"
        what = {"alone": "alone", "closed": "closed loop", "inject": "decoding while prompts come in"}[self.phase]
        return f"{what}, {self.concurrency} × {self.prompt_tokens} tokens, round {self.round + 1}"


@record
class Answer:
    """One request as the client saw it; seconds on the client's clock, from the start of its trial."""

    sent_s: NonNegative
    arrivals_s: tuple[NonNegative, ...]
    """Of the chunks that carried text."""
    prompt_tokens: Count
    completion_tokens: Natural
    injected: bool = False

    @property
    def first_s(self) -> float:
        """Arrival of the first token."""
        return self.arrivals_s[0]

    @property
    def last_s(self) -> float:
        """Arrival of the last."""
        return self.arrivals_s[-1]

    @property
    def tokens_per_gap(self) -> float:
        """Tokens that one gap between chunks stands for; 1 where every token has a chunk of its own."""
        gaps = len(self.arrivals_s) - 1
        return (self.completion_tokens - 1) / gaps if gaps > 0 and self.completion_tokens > 1 else 1.0


@record
class TrialResult:
    """A trial and its answers, or why the server would not have it."""

    trial: Trial
    answers: tuple[Answer, ...] = ()
    refused: str | None = None
    cpu_share: NonNegative = 0.0
    """Processor seconds per second that the client used meanwhile."""


@record
class EndpointRun:
    """What a run has measured so far: enough to go on with it, and to fit a law to it."""

    model: str
    settings: EndpointSettings
    floor_ms: tuple[NonNegative, ...] = ()
    results: tuple[TrialResult, ...] = ()

    def done(self) -> set[tuple[str, int, int, int]]:
        """Level and round of every trial that has been run."""
        return {(*result.trial.level, result.trial.round) for result in self.results}


def trials_of(settings: EndpointSettings, max_model_len: int | None = None) -> tuple[Trial, ...]:
    """All trials of all rounds but the open run, every round in its own random order; what cannot fit is left out."""
    levels: list[tuple[Phase, int, int, int]] = []
    levels += [("alone", 1, context, settings.output_tokens) for context in settings.contexts]
    levels += [("idle", 1, prompt, 1) for prompt in settings.prompts]
    crowds = [count for count in settings.concurrencies if count > 1]
    levels += [("closed", count, context, settings.output_tokens) for count in crowds for context in settings.contexts]
    if crowds:
        middle = sorted(crowds)[len(crowds) // 2]
        levels.append(("inject", middle, min(settings.contexts), 2 * settings.output_tokens))
    longest = {phase: settings.inject_tokens if phase == "inject" else 0 for phase, *_ in levels}
    fitting = [
        level
        for level in levels
        if max_model_len is None or max(level[2], longest[level[0]]) + level[3] <= max_model_len
    ]
    if not fitting:
        raise MeasurementError(
            f"no prompt length fits the server's limit of {max_model_len} tokens; ask for shorter contexts and prompts"
        )
    rng = np.random.default_rng(settings.seed)
    return tuple(
        Trial(phase=phase, concurrency=count, prompt_tokens=prompt, output_tokens=output, round=round_)
        for round_ in range(settings.rounds)
        for phase, count, prompt, output in (fitting[index] for index in rng.permutation(len(fitting)))
    )


def anchor_of(settings: EndpointSettings) -> Trial:
    """The cheapest decode level once more, after all rounds: what it takes then, over what it took first, is drift."""
    return Trial(
        phase="alone",
        concurrency=1,
        prompt_tokens=min(settings.contexts),
        output_tokens=settings.output_tokens,
        round=settings.rounds,
    )


def expected_s(trial: Trial, token_s: float, prompt_token_s: float, inject_tokens: int) -> float:
    """Rough length of a trial, to see what a budget holds: prompts one after the other, decode growing with batch."""
    prefill_s = trial.concurrency * trial.prompt_tokens * prompt_token_s
    decode_s = trial.output_tokens * token_s * (1.0 + trial.concurrency / 16.0)
    if trial.phase == "idle":
        return IDLE_REQUESTS * (prefill_s + token_s)
    if trial.phase == "inject":
        return prefill_s + decode_s + INJECTIONS * inject_tokens * prompt_token_s
    return (3 if trial.phase == "alone" else 2) * (prefill_s + decode_s)


def affordable(
    trials: Sequence[Trial], token_s: float, prompt_token_s: float, settings: EndpointSettings
) -> tuple[tuple[Trial, ...], tuple[Trial, ...]]:
    """Trials whose first round can be expected to take at most 60 % of the budget, and those that are left out for it.

    The dearest go first; the two cheapest levels of each phase always stay.
    """

    def cost_s(trial: Trial) -> float:
        return expected_s(trial, token_s, prompt_token_s, settings.inject_tokens)

    first = sorted((trial for trial in trials if trial.round == 0), key=cost_s)
    stays = {trial.level for phase in {t.phase for t in first} for trial in [t for t in first if t.phase == phase][:2]}
    total_s = sum(cost_s(trial) for trial in first)
    dropped = []
    for trial in reversed(first):
        if total_s > 0.6 * settings.budget_s and trial.level not in stays:
            dropped.append(trial)
            total_s -= cost_s(trial)
    levels = {trial.level for trial in dropped}
    return tuple(trial for trial in trials if trial.level not in levels), tuple(dropped)


def open_requests(settings: EndpointSettings, results: Sequence[TrialResult]) -> tuple[tuple[float, int, int], ...]:
    """(seconds since the one before, prompt tokens, output tokens) of a Poisson stream with mixed lengths.

    Prompts are log-uniform between the shortest and longest context that the closed loops met, outputs uniform
    from half to one and a half times ``output_tokens``. The rate is that at which ``OPEN_SHARE`` of the largest
    concurrency should be decoding, by Little's law, or prefills should take ``MOST_PREFILL`` of the time, if that
    is less. Empty where no closed loop was measured.
    """
    loops = [result for result in results if result.trial.phase in ("closed", "alone") and len(result.answers) > 0]
    if not loops:
        return ()
    rng = np.random.default_rng((settings.seed, 5))
    shortest = min(result.trial.prompt_tokens for result in loops)
    longest = max(result.trial.prompt_tokens for result in loops)
    outputs = (max(2, settings.output_tokens // 2), max(3, settings.output_tokens * 3 // 2))
    streams = max(1.0, OPEN_SHARE * max(result.trial.concurrency for result in loops))
    near = min((result.trial.concurrency for result in loops), key=lambda count: abs(log(count / streams)))
    chosen = [answer for result in loops if result.trial.concurrency == near for answer in result.answers]
    decode_s = float(np.mean([answer.last_s - answer.first_s for answer in chosen]))
    idle = [answer for result in results if result.trial.phase in ("idle", "alone") for answer in result.answers]
    prompt_s = float(np.median([(answer.first_s - answer.sent_s) / answer.prompt_tokens for answer in idle or chosen]))
    mean_prompt = (longest - shortest) / log(longest / shortest) if longest > shortest else shortest
    rate_per_s = min(streams / max(decode_s, 1e-4), MOST_PREFILL / max(prompt_s * mean_prompt, 1e-6))
    made = []
    for _ in range(settings.open_requests):
        wait_s = float(rng.exponential(1.0 / rate_per_s))
        prompt = int(exp(rng.uniform(log(shortest), log(longest))))
        made.append((wait_s, prompt, int(rng.integers(*outputs, endpoint=True))))
    return tuple(made)


def answers_of(results: Iterable[TrialResult], *phases: Phase) -> tuple[Answer, ...]:
    """All answers of some phases."""
    return tuple(answer for result in results if result.trial.phase in phases for answer in result.answers)


def file_name(model: str) -> str:
    """What to call a model that the server names by a path or with an owner: the last part alone."""
    return model.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or "model"
