"""Who pays for a step that several share: the one rule of model and replay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def shared_ms(whole_ms: float, added_ms: Array, jobs: Array, constant_ms: float) -> Array:
    """Time of batches among those who were in them, in proportion to what the law says of each.

    That is what its jobs add, and of what steps take with nothing in them an equal part a job.
    """
    many = float(jobs.sum())
    by_law_ms = added_ms + constant_ms * jobs / many if many > 0.0 else added_ms
    total_ms = float(by_law_ms.sum())
    if total_ms > 0.0:
        shares: Array = by_law_ms / total_ms * whole_ms
        return shares
    return jobs * (whole_ms / many) if many > 0.0 else np.zeros_like(jobs)
