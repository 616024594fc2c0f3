"""Is the law right under load? Requests of the open run, and prompts put between, against what the profile says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsd_plan.domain.profile import HeldOut, LatencyProfile
from dsd_plan.domain.step_time import decode_ms, prefill_ms, surface_of
from dsd_plan.measure.endpoint.plan import Answer, TrialResult
from dsd_plan.measure.endpoint.steps import gaps_of

FEWEST_TOKENS = 8
FEWEST_REQUESTS = 4

COMPARED = (
    "TPOT of each request in the second half of an open run with mixed lengths, against the decode surface at the "
    "mean number of streams and mean context that it met, plus what the prefills of others added"
)


@dataclass(frozen=True, slots=True)
class LoadCheck:
    """The open run against the profile."""

    held_out: HeldOut
    load_scale: float
    """Measured over predicted TPOT in the first half: told, and applied nowhere."""
    scaled_error: float
    """Mean error of the second half if that factor were applied."""
    mean_streams: float


def check_under_load(profile: LatencyProfile, results: Sequence[TrialResult]) -> LoadCheck | None:
    """Compare the requests of the open run with the profile, as ``COMPARED`` says; None where there are too few."""
    ratios: list[float] = []
    streams: list[float] = []
    for result in results:
        if result.trial.phase != "open":
            continue
        ordered = sorted(result.answers, key=lambda answer: answer.sent_s)
        gaps = gaps_of(ordered)
        talkers = [answer for answer in ordered if len(answer.arrivals_s) > 1]
        for index, answer in enumerate(talkers):
            # What reached the client all at once (it was held up) tells no time between tokens.
            if answer.completion_tokens < FEWEST_TOKENS or answer.last_s <= answer.first_s:
                continue
            mine = gaps.stream == index
            weight = gaps.tokens[mine]
            batch = float(np.average(gaps.batch[mine], weights=weight))
            kv_tokens = float(np.average(gaps.kv_tokens[mine], weights=weight))
            told_ms = decode_ms(surface_of(profile), batch, 1.0, kv_tokens / batch)
            told_ms += _prefills_ms(profile, answer, ordered) / (answer.completion_tokens - 1)
            tpot_ms = 1000.0 * (answer.last_s - answer.first_s) / (answer.completion_tokens - 1)
            ratios.append(told_ms / tpot_ms)
            streams.append(batch)
    half = len(ratios) // 2
    if half < FEWEST_REQUESTS:
        return None
    errors = np.abs(np.array(ratios[half:]) - 1.0)
    load_scale = float(np.exp(-np.log(ratios[:half]).mean()))
    return LoadCheck(
        held_out=HeldOut(points=len(errors), mean_error=float(errors.mean()), max_error=float(errors.max())),
        load_scale=load_scale,
        scaled_error=float(np.abs(load_scale * np.array(ratios[half:]) - 1.0).mean()),
        mean_streams=float(np.mean(streams)),
    )


def injected_share(profile: LatencyProfile, results: Sequence[TrialResult]) -> float | None:
    """Time that decoding streams lost to each prompt put between, over what the profile says; the median.

    The time lost is that of all steps from the prompt's sending to the step with its first token, less what so
    many steps take without it.
    """
    surface = surface_of(profile)
    shares = []
    for result in results:
        if result.trial.phase != "inject":
            continue
        gaps = gaps_of(result.answers)
        talkers = [answer for answer in result.answers if len(answer.arrivals_s) > 1]
        starts = np.concatenate([answer.arrivals_s[:-1] for answer in talkers]) if talkers else np.empty(0)
        for prompt in (answer for answer in result.answers if answer.injected):
            added_ms = _added_ms(profile, prompt.prompt_tokens)
            # A step that began before the first token came and ended after the prompt was sent.
            met = (starts < prompt.first_s) & (starts + gaps.ms / 1000.0 > prompt.sent_s) & (gaps.batch > 0)
            lost = []
            for stream in np.unique(gaps.stream[met]):
                mine = met & (gaps.stream == stream)
                pure_ms = [
                    tokens * decode_ms(surface, batch, 1.0, kv / batch)
                    for batch, kv, tokens in zip(gaps.batch[mine], gaps.kv_tokens[mine], gaps.tokens[mine], strict=True)
                ]
                lost.append(float(gaps.ms[mine].sum()) - sum(pure_ms))
            if lost and added_ms > 0:
                shares.append(float(np.median(lost)) / added_ms)
    return float(np.median(shares)) if shares else None


def _prefills_ms(profile: LatencyProfile, answer: Answer, others: Sequence[Answer]) -> float:
    """What prompts of others added to the steps between an answer's first and last token.

    Tokens of one step come one after the other: half a step on both sides is the same step.
    """
    half_s = (answer.last_s - answer.first_s) / (answer.completion_tokens - 1) / 2
    return sum(
        _added_ms(profile, other.prompt_tokens)
        for other in others
        if other is not answer and answer.first_s + half_s < other.first_s < answer.last_s + half_s
    )


def _added_ms(profile: LatencyProfile, prompt_tokens: int) -> float:
    """What a prefill adds to a step that is run anyway."""
    surface = surface_of(profile)
    return max(prefill_ms(surface, 1.0, float(prompt_tokens)) - profile.fit.law.step_ms, 0.0)
