"""Prints the table of `dsd_plan/model/known_errors.py`: `python -m tests.benchmarks.known_errors`.

For each regime and metric the absolute error against the replay that 95 % of streams stay below. The systems are those
of the agreement study up to a load of 0.8; arguments: how many a regime, a folder of replays, modes.
Replays that the study kept in `build/agreement` are used again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsd_plan.model.known_errors import MOST_LOAD
from tests.benchmarks.agreement_figures import counted
from tests.benchmarks.agreement_study import FIRST_SEED, SYSTEMS, Case, compared, run_missing
from tests.benchmarks.agreement_systems import REGIMES
from tests.model.agreement import FEWEST_REQUESTS, LATENCIES, STATISTICS

METRICS = (*(f"{latency}.{statistic}" for latency in LATENCIES for statistic in STATISTICS), "tokens_per_s")
SHARE = 0.95


def errors(records: Sequence[dict[str, Any]], metric: str) -> np.ndarray:
    """Relative errors of the streams that have enough requests."""
    return np.array(
        [
            told[metric] / seen[metric] - 1.0
            for record in records
            for told, seen in zip(record["predicted"]["streams"], record["streams"], strict=True)
            if (seen["requests"] or 0) >= FEWEST_REQUESTS and seen[metric]
        ]
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SYSTEMS
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 and "/" in sys.argv[2] else Path("build/agreement")
    modes = [mode for mode in sys.argv[2:] if "/" not in mode]
    for index, regime in enumerate(REGIMES):
        if modes and regime.mode not in modes:
            continue
        cases = [Case(index, seed) for seed in range(FIRST_SEED, FIRST_SEED + count)]
        run_missing(folder, cases, workers=2)
        records = [r for r in counted(list(compared(folder, cases, workers=2))) if r["load"] <= MOST_LOAD]
        streams = errors(records, "tpot_ms.mean").size
        print(f'    ("{regime.mode}", "{regime.kind}", "{regime.drafts}"): {{  # {streams} streams')
        for metric in METRICS:
            print(f'        "{metric}": {np.quantile(np.abs(errors(records, metric)), SHARE):.3f},')
        print("    },", flush=True)


if __name__ == "__main__":
    main()
