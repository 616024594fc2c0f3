"""The target's answer to a round: which proposals stand, and what is emitted. Lossless, whatever was proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsd_plan.pair.sampling import Bools, Chance, Ints, Probabilities


@dataclass(frozen=True, slots=True)
class Verdict:
    """The target's answer to one round, a row a request."""

    emitted: Ints
    """[batch, window + 1]; the first ``accepted + 1`` of a row count."""
    accepted: Ints
    matches: Bools | None
    """[batch, window + 1], for one path of argmax proposals."""
    path: Ints | None = None
    """[batch], the candidate path whose proposals were accepted; None for one path."""


def judge_argmax(wanted: Probabilities, proposed: Ints, chance: Chance) -> Verdict:
    """Sample the target's token at every position and compare.

    ``wanted`` is p, [batch, window + 1, vocab]; ``proposed`` int[batch, window + 1].
    """
    emitted = chance.choose(wanted)
    matches = emitted == proposed
    return Verdict(emitted=emitted, accepted=_run(matches[:, :-1]), matches=matches)


def judge_sampled(wanted: Probabilities, proposed: Ints, offered: Probabilities, chance: Chance) -> Verdict:
    """Accept or resample (2211.17192, Algorithm 1).

    ``wanted`` is p, [batch, window + 1, vocab]; ``proposed`` int[batch, window] was drawn from ``offered``, q.
    """
    p = np.take_along_axis(wanted[:, :-1], proposed[..., None], axis=-1)[..., 0]
    q = np.take_along_axis(offered, proposed[..., None], axis=-1)[..., 0]
    accepted = _run(chance.accept(np.minimum(1.0, p / q)))
    rows = np.arange(len(proposed))
    final = wanted[rows, accepted]
    missed = accepted < proposed.shape[1]
    final[missed] = _residual(final[missed], offered[rows[missed], accepted[missed]])
    emitted = np.concatenate((proposed, np.zeros_like(proposed[:, :1])), axis=1)
    emitted[rows, accepted] = chance.choose(final)
    return Verdict(emitted=emitted, accepted=accepted, matches=None)


def judge_argmax_paths(wanted: Probabilities, proposed: Ints, chance: Chance) -> Verdict:
    """Sample the target's token at every position and follow the path that proposed it, while there is one.

    ``wanted`` is p, [batch, paths, window + 1, vocab]; ``proposed`` int[batch, paths, window].
    """
    batch, paths, window = proposed.shape
    rows = np.arange(batch)
    path, accepted = np.zeros(batch, dtype=np.int64), np.zeros(batch, dtype=np.int64)
    emitted = np.zeros((batch, window + 1), dtype=np.int64)
    going, alive = np.ones(batch, dtype=np.bool_), np.ones((batch, paths), dtype=np.bool_)
    for level in range(window + 1):
        # A request that has stopped still draws, so that nobody's chance depends on its neighbours.
        token = chance.choose(_where_going(going, wanted[rows, path, level]))
        emitted[going, level] = token[going]
        if level < window:
            alive &= proposed[:, :, level] == token[:, None]
            going &= alive.any(axis=1)
            path = np.where(going, alive.argmax(axis=1), path)
            accepted += going
    return Verdict(emitted=emitted, accepted=accepted, matches=None, path=path)


def judge_sampled_paths(wanted: Probabilities, proposed: Ints, offered: Probabilities, chance: Chance) -> Verdict:
    """Recursive rejection sampling over independent paths (Miao et al. 2305.09781, multi-step speculative sampling).

    ``wanted`` is p, [batch, paths, window + 1, vocab]; ``proposed`` int[batch, paths, window] was drawn from
    ``offered``, q, [batch, paths, window, vocab], each path on its own. At every level the surviving paths' tokens are
    tried in turn, each against what the refused ones have left of p; the paths that agree with an accepted token
    survive, and are independent draws of q after it.
    """
    batch, paths, window = proposed.shape
    rows = np.arange(batch)
    path, accepted = np.zeros(batch, dtype=np.int64), np.zeros(batch, dtype=np.int64)
    final = wanted[rows, 0, 0].copy()
    emitted = np.zeros((batch, window + 1), dtype=np.int64)
    going, alive = np.ones(batch, dtype=np.bool_), np.ones((batch, paths), dtype=np.bool_)
    for level in range(window):
        taken = np.zeros(batch, dtype=np.bool_)
        for candidate in range(paths):
            token = proposed[:, candidate, level]
            asked = going & ~taken & alive[:, candidate]
            share = np.minimum(1.0, final[rows, token] / offered[rows, candidate, level, token])
            hit = chance.accept(np.where(asked, share, 0.0)[:, None])[:, 0] & asked
            path[hit], emitted[hit, level] = candidate, token[hit]
            missed = asked & ~hit
            final[missed] = _residual(final[missed], offered[missed, candidate, level])
            taken |= hit
        alive &= proposed[:, :, level] == emitted[:, level, None]
        going &= taken
        accepted += going
        final[going] = wanted[rows, path, level + 1][going]
    emitted[rows, accepted] = chance.choose(final)
    return Verdict(emitted=emitted, accepted=accepted, matches=None, path=path)


def _residual(wanted: Probabilities, offered: Probabilities) -> Probabilities:
    """(p − q)⁺, normalised, [rows, vocab]."""
    surplus = np.maximum(wanted - offered, 0.0)
    mass = surplus.sum(axis=-1, keepdims=True)
    # A miss has probability 0 where p = q; only rounding gets there, and then p itself is the limit.
    left: Probabilities = np.where(mass > 0.0, surplus / np.where(mass > 0.0, mass, 1.0), wanted)
    return left


def _where_going(going: Bools, wanted: Probabilities) -> Probabilities:
    """The distributions of the requests that go on; certainty, which no draw can change, for the others."""
    certain = np.zeros(wanted.shape[-1])
    certain[0] = 1.0
    chances: Probabilities = np.where(going[:, None], wanted, certain)
    return chances


def _run(hits: Bools) -> Ints:
    """Length of the run of True at the start of every row."""
    run: Ints = np.logical_and.accumulate(hits, axis=1).sum(axis=1)
    return run
