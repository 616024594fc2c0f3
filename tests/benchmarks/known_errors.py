"""Prints the table of `dsd_plan/model/known_errors.py`: `python -m tests.benchmarks.known_errors 100`.

For each regime and metric the absolute error against the replay that 95 % of the streams stay below. Systems are drawn
from seeds of their own; an argument says how many a regime, modes that follow it choose regimes.
"""

from __future__ import annotations

import sys

from tests.benchmarks.agreement_table import chosen_regimes
from tests.model.agreement import LATENCIES, STATISTICS, errors

FIRST_SEED = 90_000
METRICS = (*(f"{latency}.{statistic}" for latency in LATENCIES for statistic in STATISTICS), "tokens_per_s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    for mode, kind, drafts in chosen_regimes():
        found = errors(range(FIRST_SEED, FIRST_SEED + count), mode, kind, drafts, requests=5000, replications=4)
        streams = found.relative["tpot_ms.mean"].size
        print(f'    ("{mode}", "{kind}", "{drafts}"): {{  # {streams} streams')
        for metric in METRICS:
            print(f'        "{metric}": {found.usual(metric, 0.95):.3f},')
        print("    },", flush=True)


if __name__ == "__main__":
    main()
