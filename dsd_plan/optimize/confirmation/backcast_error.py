"""The error with which the present system was reproduced, by kind of number."""

from __future__ import annotations

from dsd_plan.domain.present import METRICS
from dsd_plan.domain.study_decision import Backcast

NOTHING_KNOWN = 1.0
"""Of a model under which a device saturates that does not."""


def error_of(found: Backcast | None, metric: str) -> float:
    """The share by which a prediction of `metric` ("tpot_ms.p95") may be off, as far as today's system tells.

    The root mean square of what was measured of the same kind; of all that was measured where nothing was.
    """
    if found is not None and found.saturates is not None:
        return NOTHING_KNOWN
    if found is None or found.error is None:
        return 0.0
    return found.errors.get(kind_of(metric), found.error)


def kind_of(metric: str) -> str:
    """ "ttft" of "ttft_ms.p95"; other metrics are a kind of their own."""
    kind = metric.partition("_ms")[0]
    return kind if kind in METRICS else metric
