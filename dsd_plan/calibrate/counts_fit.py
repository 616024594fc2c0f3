"""Laws from counters, which tell neither requests nor rounds: one rate, or survival by position, and no bursts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsd_plan.calibrate.chains import beta_chain, independent_chain
from dsd_plan.calibrate.intervals import wilson
from dsd_plan.domain.acceptance import AcceptanceCounts, counted_totals, survival_by_position
from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence, LawKind, PositionEvidence

FIVE_PERCENT = 0.05
NO_BURSTS = "that rounds do not depend on one another, which counters cannot tell"
ONE_RATE = "one rate for every position, and that rounds do not depend on one another: totals cannot tell"


def fit_counts(counts: AcceptanceCounts, law: str | None = None) -> FittedLaw:
    """The law of counters that tell positions: one rate where a likelihood-ratio test at 5 % does not reject it.

    Raises ValueError where positions are not told or `law` cannot be learnt from counters.
    """
    if not counts.reached:
        raise ValueError("counters tell no positions; --assume-independent makes one rate of their totals")
    if law in ("beta", "markov"):
        raise ValueError(f"counters tell no requests and no rounds, which a {law} law needs; give a trace")
    survival = survival_by_position(counts, len(counts.reached))
    before = np.concatenate([[1.0], survival[:-1]])
    # A position is tried in the rounds that proposed it and kept all before it.
    tried = np.array(counts.reached) * before
    kept = np.array(counts.reached) * survival
    told = tried >= 1.0
    positions = tuple(
        PositionEvidence(
            position=i + 1,
            tried=round(float(tried[i])),
            kept=round(float(kept[i])),
            low=wilson(float(kept[i]), float(tried[i]))[0],
            high=wilson(float(kept[i]), float(tried[i]))[1],
        )
        for i in np.flatnonzero(told).tolist()
    )
    one = float(kept.sum() / tried.sum())
    passes = same_rate(tried[told], kept[told]) >= FIVE_PERCENT
    kind: LawKind = "independent" if law == "independent" or (law is None and passes) else "positional"
    width = len(counts.reached)
    curve = independent_chain(one, width).survival[0] if kind == "independent" else survival
    return FittedLaw(
        metadata=counts.metadata,
        kind=kind,
        measured_window=width,
        largest_window=width,
        survival=tuple(curve.tolist()),
        per_token=one if kind == "independent" else None,
        assumption=NO_BURSTS,
        evidence=LawEvidence(
            requests=0,
            rounds=counts.reached[0],
            tried=positions,
            accepted_by_test=kind == "positional" or passes,
        ),
    )


def same_rate(tried: Sequence[float] | np.ndarray, kept: Sequence[float] | np.ndarray) -> float:
    """P value of "every position keeps the same share": likelihood ratio, χ² with one degree less than positions."""
    from scipy.special import xlogy
    from scipy.stats import chi2

    asked, held = np.asarray(tried, dtype=float), np.asarray(kept, dtype=float)
    if asked.size < 2:
        return 1.0
    one = held.sum() / asked.sum()
    free = xlogy(held, held / asked) + xlogy(asked - held, 1.0 - held / asked)
    bound = xlogy(held, one) + xlogy(asked - held, 1.0 - one)
    return float(chi2.sf(max(0.0, 2.0 * float((free - bound).sum())), asked.size - 1))


def assume_independent(counts: AcceptanceCounts) -> FittedLaw:
    """The one rate with which independent tokens would give these totals: Σ_{i≤window} α^i = accepted a round.

    Raises ValueError where the totals do not tell the window or the mean.
    """
    from scipy.optimize import brentq

    totals = counted_totals(counts)
    mean, window = totals["mean_tokens_per_round"], counts.window or (len(counts.reached) or None)
    rounds, proposed = totals["rounds"], totals["proposed"]
    if window is None and rounds and proposed and proposed % rounds == 0:
        window = int(proposed // rounds)
    if mean is None and totals["accepted"] is not None and proposed and window:
        rounds = round(proposed / window)
        mean = 1.0 + totals["accepted"] / (proposed / window)
    if window is None:
        raise ValueError(
            "the counters tell no window (drafts proposed a round); import them again with --window N, or write "
            "`window` into the file"
        )
    if mean is None:
        raise ValueError(
            "the counters tell no mean; write `rounds` and `accepted`, or `tokens_per_round`, into the file"
        )
    accepted = float(mean) - 1.0
    if not 0.0 <= accepted <= window:
        raise ValueError(f"{mean:g} tokens a round cannot come from a window of {window}")
    powers = np.arange(1.0, window + 1)
    rate = float(brentq(lambda alpha: float((alpha**powers).sum()) - accepted, 0.0, 1.0, xtol=1e-12))
    return FittedLaw(
        metadata=counts.metadata,
        kind="independent",
        measured_window=window,
        largest_window=window,
        survival=tuple((rate**powers).tolist()),
        per_token=rate,
        assumption=ONE_RATE,
        evidence=LawEvidence(requests=0, rounds=int(rounds or 0), accepted_by_test=False),
    )


def extrapolated(law: FittedLaw, window: int) -> FittedLaw:
    """The law for windows past those measured. Raises ValueError for laws that hold position by position."""
    if law.kind == "independent" and law.per_token is not None:
        curve = independent_chain(law.per_token, window).survival[0]
    elif law.kind == "beta" and law.beta_a is not None and law.beta_b is not None:
        pmf = beta_chain(law.beta_a, law.beta_b, window).accepted_pmf(window)
        curve = np.minimum.accumulate(np.clip(np.cumsum(pmf[::-1])[::-1][1:], 0.0, 1.0))
    else:
        raise ValueError(
            f"a {law.kind} law says nothing past window {law.measured_window}; "
            "record larger windows, or fit with --law independent"
        )
    return replace(law, largest_window=window, survival=tuple(curve.tolist()))
