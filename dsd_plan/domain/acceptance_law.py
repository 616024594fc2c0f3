"""A law fitted to recorded acceptance, with the evidence for it, and what a scenario may take of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from dsd_plan.domain.acceptance import AcceptanceLaw, TraceMetadata
from dsd_plan.domain.acceptance_laws import BetaLaw, DependentLaw, MarkovLaw
from dsd_plan.domain.records import Count, Finite, Flag, Name, Natural, NonNegative, Positive, Probability, record
from dsd_plan.errors import Problem

LawKind = Literal["independent", "positional", "beta", "markov"]


@record
class FittedLaw:
    """How acceptance is drawn: for every token alike, by position, by request, or by a state that lasts over rounds."""

    metadata: TraceMetadata
    kind: LawKind
    measured_window: Count
    """Largest window that the data told of."""
    largest_window: Count
    """Largest window that the law may be used for; past `measured_window` it is extrapolated."""
    survival: tuple[Probability, ...]
    """P(first i proposals all accepted), i = 1 … largest_window, mean over rounds of the largest window."""
    per_token: Probability | None = None
    """independent: the one rate."""
    beta_a: Positive | None = None
    """beta: a request's rate is drawn from Beta(beta_a, beta_b)."""
    beta_b: Positive | None = None
    states: tuple[tuple[Probability, ...], ...] = ()
    """markov: survival by position in each state."""
    transition: tuple[tuple[Probability, ...], ...] = ()
    """markov: P(state of the next round | state of this one)."""
    start: tuple[Probability, ...] = ()
    """markov: P(state of a request's first round)."""
    task: Name | None = None
    """Of which rows; none: of all."""
    assumption: Name | None = None
    """What the data could not tell and was assumed."""
    evidence: LawEvidence


@record
class LawEvidence:
    """What a law was fitted to, and how it compared."""

    requests: Natural
    """0: counters, which tell no requests."""
    rounds: Natural
    tried: tuple[PositionEvidence, ...] = ()
    """Acceptance of position i given that all before it were accepted."""
    compared: tuple[LawScore, ...] = ()
    accepted_by_test: Flag = True
    """False: the data rejects every law, or the law was asked for by name against the test."""


@record
class PositionEvidence:
    """How often a position was tried, and kept."""

    position: Count
    tried: Natural
    kept: Natural
    low: Probability
    """95 % interval of the share: the wider of Wilson's and, where requests are told, the bootstrap over requests."""
    high: Probability


@record
class LawScore:
    """How one candidate did on requests that it had not seen."""

    law: Name
    parameters: Natural
    bits_behind: Finite
    """Held-out bits a round behind the best candidate; 0 for the best."""
    standard_error: NonNegative
    """Of bits_behind, over requests."""
    tokens_error: Finite
    """Largest relative error of tokens a round over the windows told."""
    rejected: Flag


def scenario_law(law: FittedLaw) -> AcceptanceLaw | None:
    """Survival by position, ending at the largest window; None where rounds depend on one another."""
    if law.kind not in ("independent", "positional"):
        return None
    extrapolated = law.largest_window > law.measured_window
    return AcceptanceLaw(survival=law.survival, measured_window=law.measured_window if extrapolated else None)


def dependent_law(fitted: FittedLaw) -> DependentLaw | None:
    """The law of a fit whose rounds depend on one another; None where they do not."""
    if fitted.kind == "beta" and fitted.beta_a is not None and fitted.beta_b is not None:
        return BetaLaw(
            a=fitted.beta_a,
            b=fitted.beta_b,
            largest_window=fitted.largest_window,
            measured_window=fitted.measured_window,
            proposal=fitted.metadata.proposal,
        )
    if fitted.kind == "markov":
        return MarkovLaw(
            states=fitted.states,
            transition=fitted.transition,
            start=fitted.start,
            largest_window=fitted.largest_window,
            measured_window=fitted.measured_window,
            proposal=fitted.metadata.proposal,
        )
    return None


def law_problems(law: FittedLaw) -> tuple[Problem, ...]:
    """Everything in a law that cannot be true."""
    return (*_survival(law), *_parameters(law))


def _survival(law: FittedLaw) -> Iterator[Problem]:
    if len(law.survival) != law.largest_window:
        yield Problem("survival", f"found {len(law.survival)} positions, largest_window is {law.largest_window}")
    if law.largest_window > law.measured_window and law.kind == "positional":
        yield Problem("largest_window", f"found {law.largest_window}, positions were measured to {law.measured_window}")
    for place, curve in (("survival", law.survival), *((f"states[{i}]", s) for i, s in enumerate(law.states))):
        for i, (before, after) in enumerate(pairwise(curve), start=1):
            if after > before:
                yield Problem(f"{place}[{i}]", f"found {after:g}, expected no more than the {before:g} before it")


def _parameters(law: FittedLaw) -> Iterator[Problem]:
    needs = {
        "independent": ("per_token",),
        "positional": (),
        "beta": ("beta_a", "beta_b"),
        "markov": ("states", "transition", "start"),
    }
    for name in ("per_token", "beta_a", "beta_b", "states", "transition", "start"):
        given = getattr(law, name) not in (None, ())
        if given != (name in needs[law.kind]):
            told = "is of another kind of law; leave it out" if given else f"missing, needed by {law.kind}"
            yield Problem(name, told)
    if law.kind == "markov":
        size = len(law.states)
        if len(law.transition) != size or len(law.start) != size:
            yield Problem("transition", f"found {len(law.transition)} rows, start {len(law.start)}, states {size}")
        for place, row in (("start", law.start), *((f"transition[{i}]", r) for i, r in enumerate(law.transition))):
            if len(row) != size or abs(sum(row) - 1) > 1e-6:
                yield Problem(place, f"expected {size} probabilities whose sum is 1")
        for i, curve in enumerate(law.states):
            if len(curve) < law.largest_window:
                yield Problem(f"states[{i}]", f"found {len(curve)} positions, largest_window is {law.largest_window}")
