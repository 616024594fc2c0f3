"""Time the steps of a GGUF model with llama.cpp's own benchmarks, where they are installed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsd_plan import __version__
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.llama_cpp.gguf import GgufShape, gguf_shape
from dsd_plan.measure.llama_cpp.runs import (
    BATCHED_BENCH,
    BENCH,
    Program,
    Run,
    rows_of,
    runs_of,
    times_of,
    unreachable,
    within,
    without_widest,
)
from dsd_plan.measure.machine import Clock, SystemClock, available_memory_bytes, cores, cpu_model
from dsd_plan.measure.steps.contention import MOST_OTHERS, crowded, others_cores, refuse, surroundings
from dsd_plan.measure.steps.fit import fit_step_law
from dsd_plan.measure.steps.grid import Grid, GridPoint
from dsd_plan.measure.steps.sampling import Visited

Progress = Callable[[int, int, str], None]

FEWEST_ROUNDS = 3
PROGRAMS: tuple[Program, ...] = (BENCH, BATCHED_BENCH)
INSTALL = (
    "build llama.cpp (cmake -B build && cmake --build build --target llama-bench llama-batched-bench) or unpack one of "
    "its releases, then put the folder of its programs on PATH or name it"
)
VERIFY = (
    "batch 1: new_tokens sequences of one token each over one cache; above: batch x new_tokens sequences with a cache "
    "each stand in, which reads too much of it: times are too long rather than too short"
)


def profile_llama_cpp(
    model: Path,
    *,
    device: str,
    grid: Grid,
    budget_s: float,
    threads: int,
    binaries: Path | None = None,
    gpu_layers: int | None = None,
    seed: int = 0,
    allow_contention: bool = False,
    timeout_s: float | None = None,
    clock: Clock | None = None,
    on_progress: Progress | None = None,
) -> LatencyProfile:
    """Measure decode, verify and prefill steps of the GGUF file ``model`` over ``grid``.

    The first round runs every process once, cheapest first, for a third of ``budget_s``; those that it does not come
    to are left out, one of each kind excepted. Further rounds, each in an order of its own, go on until the budget is
    spent or every median is known well; there are three at least. Rows whose cache would not fit the memory are not
    run, and a run that fails goes without its rows of most sequences; all that is left out is counted. ``binaries`` is
    the folder of llama.cpp's programs, None the PATH; ``gpu_layers`` how many layers go to the accelerator, None as
    llama.cpp decides; ``timeout_s`` holds for one process, None: twice the budget, and 2 minutes at least.

    Raises ``MeasurementError`` where the programs or the model are missing, where the model cannot be run, where what
    is printed is not understood, and where others used the machine, unless ``allow_contention``.
    """
    clock = SystemClock() if clock is None else clock
    if not model.is_file():
        raise MeasurementError(f"{model}: no such file; name a model in GGUF form")
    programs = found_programs(binaries)
    before = surroundings(clock)
    refuse(crowded(before, cores()), model.stem, allow_contention)
    limit_s = max(120.0, 2.0 * budget_s) if timeout_s is None else timeout_s
    session = _Session(programs, model, threads, gpu_layers, limit_s)
    facts = session.facts()
    shape = gguf_shape(model)
    every = runs_of(grid)
    runs = [cut for run in every if (cut := _that_fits(run, facts, shape)).rows]
    began_s, others_before_s = clock.wall_s(), clock.others_cpu_s()

    def told(rounds: int, number: int) -> None:
        if on_progress is not None:
            done = min(99, int(100 * (clock.wall_s() - began_s) / max(budget_s, 1e-9)))
            on_progress(done, 100, f"{model.stem}: round {rounds}, run {number} of {len(runs)}")

    kinds: set[str] = set()
    working: list[Run] = []
    for number, run in enumerate(runs, start=1):
        if run.kind in kinds and clock.wall_s() - began_s > budget_s / FEWEST_ROUNDS:
            break
        kinds.add(run.kind)
        worked = session.first_visit(run)
        if worked is not None:
            working.append(worked)
        told(1, number)
    if not working:
        raise MeasurementError(f"{model.stem}: no run of the grid worked; the first said: {session.first_failure}")
    runs = working
    rng = np.random.default_rng(seed)
    rounds = 1
    while rounds < FEWEST_ROUNDS or (clock.wall_s() - began_s < budget_s and not session.settled()):
        rounds += 1
        for number, position in enumerate(rng.permutation(len(runs)), start=1):
            session.visit(runs[position])
            told(rounds, number)
    seconds = clock.wall_s() - began_s
    others = others_cores(clock, others_before_s, began_s)
    contended = crowded(before, cores())
    if others is not None and others > MOST_OTHERS * cores():
        contended = f"others kept {others:.2f} of {cores()} cores busy while it was measured"
        refuse(contended, model.stem, allow_contention)
    points = tuple(session.visited[point].measured() for point in sorted(session.visited))
    wanted = sum(len(run.rows) for run in every)
    kv_bytes = None if shape is None else shape.kv_bytes_per_token
    return LatencyProfile(
        device=device,
        model=model.stem,
        origin="measured",
        fit=fit_step_law(points, seed=seed),
        points=points,
        backend="llama.cpp",
        precision=facts.model_type,
        software={
            "dsd-plan": __version__,
            "llama.cpp": f"{facts.build} ({facts.commit})",
            "python": platform.python_version(),
            "os": f"{platform.system()} {platform.release()}",
        },
        measured_at=clock.now(),
        method={
            "cpu": cpu_model(),
            "accelerator": facts.accelerator,
            "cores": cores(),
            "threads": threads,
            "gpu_layers": gpu_layers,
            "grid": grid.name,
            "seed": seed,
            "rounds": rounds,
            "order": "processes cheapest first, then every round its own order; inside one as llama.cpp orders",
            "verify": VERIFY,
            "spread": "over processes; a decode or verify time is the mean over the steps of one",
            "points_beyond_llama_cpp": unreachable(grid),
            "points_left_out": wanted - len(points),
            "first_failure": session.first_failure,
            "kv": None if kv_bytes is None else "from the model's shape, 16 bits, every layer",
            "others_cores": others,
            "contention": contended,
            "seconds": round(seconds, 2),
        },
        weights_gib=facts.weight_bytes / 2**30,
        kv_mib_per_token=None if kv_bytes is None else kv_bytes / 2**20,
    )


def _that_fits(run: Run, facts: _Facts, shape: GgufShape | None) -> Run:
    """What of a run fits the memory, where both are known; of an accelerator's memory nothing is."""
    free_bytes = available_memory_bytes()
    if shape is None or shape.kv_bytes_per_token is None or free_bytes is None or facts.accelerator is not None:
        return run
    return within(run, max(0, free_bytes - facts.weight_bytes) // shape.kv_bytes_per_token)


def found_programs(binaries: Path | None) -> dict[Program, str]:
    """Where the programs are. Raises ``MeasurementError`` naming those that are missing, and how to get them."""
    found: dict[Program, str] = {}
    for program in PROGRAMS:
        at = shutil.which(program, path=None if binaries is None else str(binaries))
        if at is not None:
            found[program] = at
    missing = [program for program in PROGRAMS if program not in found]
    if missing:
        place = "on PATH" if binaries is None else f"in {binaries}"
        raise MeasurementError(f"{' and '.join(missing)} not found {place}; {INSTALL}")
    return found


class _TooSlowError(MeasurementError):
    """A process that did not end in its time."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What llama-bench says of itself and of the model."""

    build: str
    commit: str
    model_type: str
    weight_bytes: int
    accelerator: str | None


@dataclass(slots=True)
class _Session:
    """One model under measurement."""

    programs: dict[Program, str]
    model: Path
    threads: int
    gpu_layers: int | None
    timeout_s: float
    visited: dict[GridPoint, Visited] = field(default_factory=dict)
    first_failure: str | None = None

    def facts(self) -> _Facts:
        """Load the model once, with the shortest test, to see that it can be."""
        output = self.output(BENCH, ("-p", "1", "-n", "0", "-r", "1", "-o", "jsonl"))
        rows: list[dict[str, Any]] = rows_of(BENCH, output)
        if not rows or not isinstance(rows[0].get("model_size"), int):
            raise MeasurementError(
                f"{BENCH} printed nothing about the model: {output[:200]!r}; is it of another version?"
            )
        row = rows[0]
        return _Facts(
            build=str(row.get("build_number", "unknown")),
            commit=str(row.get("build_commit", "unknown")),
            model_type=str(row.get("model_type", "unknown")),
            weight_bytes=int(row["model_size"]),
            accelerator=str(row["gpu_info"]) if row.get("gpu_info") else None,
        )

    def first_visit(self, run: Run) -> Run | None:
        """Time every step of a run; what is left of it when those that do not fit are taken away, None for nothing."""
        while run.rows:
            try:
                self._add(times_of(run, self.output(run.program, run.arguments)))
                return run
            except _TooSlowError as failure:
                self.first_failure = self.first_failure or str(failure)
                return None
            except MeasurementError as failure:
                self.first_failure = self.first_failure or str(failure)
                if run.program == BENCH:
                    return None
                run = without_widest(run)
        return None

    def visit(self, run: Run) -> None:
        """Time every step of a run once more; where it works no longer, what was timed before stays."""
        try:
            self._add(times_of(run, self.output(run.program, run.arguments)))
        except MeasurementError as failure:
            self.first_failure = self.first_failure or str(failure)

    def _add(self, times: dict[GridPoint, tuple[float, ...]]) -> None:
        for point, samples_ms in times.items():
            self.visited.setdefault(point, Visited(point)).add(samples_ms)

    def settled(self) -> bool:
        """Whether every median is known well enough."""
        return all(visited.settled() for visited in self.visited.values())

    def output(self, program: Program, arguments: tuple[str, ...]) -> str:
        """Standard output of one process. Raises ``MeasurementError`` for one that fails or does not end."""
        layers = () if self.gpu_layers is None else ("-ngl", str(self.gpu_layers))
        command = [self.programs[program], "-m", str(self.model), "-t", str(self.threads), *layers, *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout_s,
                check=False,
                env={**os.environ, "LLAMA_LOG_COLORS": "off"},
            )
        except subprocess.TimeoutExpired:
            raise _TooSlowError(
                f"{program} was still running after {self.timeout_s:.0f} s and was stopped; "
                "give smaller axes or more time"
            ) from None
        except OSError as failure:
            raise MeasurementError(
                f"{command[0]} cannot be run: {(failure.strerror or str(failure)).lower()}; {INSTALL}"
            ) from None
        if done.returncode:
            raise MeasurementError(f"{program} ended with code {done.returncode}: {_last_words(done.stderr)}")
        return done.stdout


def _last_words(stderr: str) -> str:
    """What a process said of its failure: its last lines that speak of an error, else its last lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return "; ".join((wrong or lines)[-2:])[:400] or "it gave no reason"
