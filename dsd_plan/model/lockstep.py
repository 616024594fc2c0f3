"""Sessions that are all away for exactly the same time fall into step with the server, and then hardly wait.

One class alone whose links have no jitter: sessions that were in one iteration come back together, for ever. With
delay D and iterations of T, at most m = 1 + ⌊D/T⌋ such groups fit into a round without waiting (each comes back when
the one before it is done); with one group more everybody waits for T − φ, φ = D mod T. Groups merge where two come
back into one iteration: a prefill longer than φ does that. docs/method.md, "In step".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsd_plan.queueing.distributions import normal

Array = NDArray[np.float64]

SAME = 1e-3
"""Spread of the time away, beside an iteration, up to which sessions come back together."""
BLUR = 0.1
"""Iterations differ by this share of their mean, as groups are of unlike size."""
MERGING = 16.0
"""Groups appear with chance about 1/m and merge m at a time: one too many is there with 1/(1 + m²/MERGING)."""


def lockstep_wait(iteration: Array, delay: float, others: Array, rate: float, jump: float, jump_square: float) -> Array:
    """Mean wait a round for the server, by the mean length of an iteration and the number of others, shape (grid,).

    `rate` counts prefills per ms, each of which adds `jump` ms (mean; `jump_square` its mean square). A prefill's
    iteration makes who comes back in it wait, and half of the time the group behind them as well.
    """
    turns = np.floor(delay / iteration)
    phase = delay - turns * iteration
    fitting = 1.0 + turns
    present = np.minimum(others + 1.0, fitting)
    prefilling = iteration**2 + 2.0 * iteration * jump + jump_square
    behind = rate * prefilling / 2.0 * 2.0 * (1.0 - 0.5**present)
    unmerged, _ = normal((phase - jump) / (BLUR * iteration))
    enough, _ = normal((others - fitting + 0.5) / np.sqrt(np.maximum(others, 0.5)) * 2.0)
    # Of two groups that take turns neither can come back together with another.
    stays = np.where(turns < 1.0, 1.0, unmerged / (1.0 + fitting**2 / MERGING))
    one_too_many = enough * stays
    wait: Array = behind + one_too_many * (iteration - phase)
    return wait
