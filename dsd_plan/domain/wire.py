"""What a pair's `wire` sends: payload bytes of a round's proposals and of its verdict."""

from __future__ import annotations

from typing import NamedTuple

from dsd_plan.domain.scenario import Pair, Scenario

TOKEN_ID_BYTES = 4
PROBABILITY_BYTES = 2
"""A probability travels as a float16."""


class RoundBytes(NamedTuple):
    """Payloads of one distributed round."""

    up: float
    accepted_down: float
    """The verdict when every proposal was accepted: how many, and the target's own token."""
    rejected_down: float
    """The verdict when one was not."""


def round_bytes(scenario: Scenario, pair: Pair, window: int) -> RoundBytes:
    """Payloads of a round of `window` proposals. Raises ValueError where a vocabulary is needed and not known."""
    verdict = 2.0 * TOKEN_ID_BYTES
    if pair.wire == "ids":
        return RoundBytes(float(TOKEN_ID_BYTES * window), verdict, verdict)
    entry = TOKEN_ID_BYTES + PROBABILITY_BYTES
    if pair.wire == "topk":
        return RoundBytes(float(entry * (pair.k or 1) * window), verdict, verdict)
    vocabulary = vocabulary_of(scenario, pair)
    if vocabulary is None:
        raise ValueError(f'`wire = "{pair.wire}"` sends a probability for every token of the vocabulary')
    whole = float(PROBABILITY_BYTES * vocabulary)
    if pair.wire == "distributions":
        return RoundBytes(whole * window, verdict, verdict)
    return RoundBytes(float(entry * window), verdict, verdict + whole)


def vocabulary_of(scenario: Scenario, pair: Pair) -> int | None:
    """Tokens in the vocabulary of a pair: its target's, or its draft's where that is not given."""
    given = {model.name: model.vocabulary for model in scenario.models}
    return given.get(pair.target) or given.get(pair.draft)
