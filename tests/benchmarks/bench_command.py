"""What a user of `dsd-plan optimize` waits for on 24 devices: from the shell, against one replay from the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.benchmarks.row import Row

RUNS = 2
EXAMPLE = Path(__file__).parents[2] / "dsd_plan" / "examples" / "metro-edge"
ANSWER = "The answer"
"""Begins what the command says of its verdict before the study is complete."""


def run() -> list[Row]:
    """The first run on a machine, which compiles, later ones, and when these say their verdict."""
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        study = str(Path(folder) / "study.json")
        optimize = ("optimize", str(EXAMPLE / "scenario.toml"), "-o", study)
        first_s, _ = timed(environment, *optimize)
        times = [timed(environment, *optimize) for _ in range(RUNS)]
        replay = ("replay", str(EXAMPLE / "scenario.toml"), "--plan", str(EXAMPLE / "plan.json"))
        timed(environment, *replay)
        replay_s = median(timed(environment, *replay)[0] for _ in range(RUNS))
    whole_s, answer_s = median(whole for whole, _ in times), median(answer for _, answer in times)
    against = "replay of its example plan (8 × 4,000) from the shell"
    return [
        Row("optimize on metro-edge (24 devices) from the shell", whole_s, against, replay_s),
        Row("until it says its verdict", answer_s, against, replay_s),
        Row("the first time, compiling", first_s, against, replay_s),
    ]


def timed(environment: dict[str, str], *arguments: str) -> tuple[float, float]:
    """Wall seconds of the command, and until it said its verdict (infinite where it says none)."""
    start, answer_s = perf_counter(), float("inf")
    command = [sys.executable, "-m", "dsd_plan", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if ANSWER in line:
                answer_s = min(answer_s, perf_counter() - start)
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with exit code {child.returncode}")
    return perf_counter() - start, answer_s
