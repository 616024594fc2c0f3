"""What a user waits for before the first answer: cold processes, against a bare Python beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks.row import Row

RUNS = 5
MIB_PER_KIB = 1 / 1024
EXAMPLE = Path(__file__).parents[2] / "dsd_plan" / "examples" / "metro-edge"


def run() -> list[Row]:
    """Help and a prediction on the example; the prediction's row says how much memory its process took."""
    bare_s, _ = cold("-c", "pass")
    help_s, _ = cold("-m", "dsd_plan", "--help")
    plan = str(EXAMPLE / "plan.json")
    predict_s, predict_mib = cold("-m", "dsd_plan", "predict", str(EXAMPLE / "scenario.toml"), "--plan", plan)
    return [
        Row("dsd-plan --help", help_s, "python -c pass", bare_s),
        Row(f"predict on metro-edge ({predict_mib:.0f} MiB at most)", predict_s, "python -c pass", bare_s),
    ]


def cold(*arguments: str) -> tuple[float, float]:
    """Median wall seconds and largest resident MiB of fresh processes, after one that warms the disk cache."""
    seconds, peaks_mib = [], []
    for _ in range(RUNS + 1):
        start = perf_counter()
        child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds.append(perf_counter() - start)
        peaks_mib.append(usage.ru_maxrss * MIB_PER_KIB)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with exit code {child.returncode}")
    return median(seconds[1:]), max(peaks_mib)
