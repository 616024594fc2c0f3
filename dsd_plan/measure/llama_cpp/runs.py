"""Which runs of llama.cpp's benchmarks time which steps, and what their output says.

Checked against llama.cpp commit 0c1e570 (October 2026). `llama-batched-bench` fills `pl` sequences with `pp` tokens
each, then decodes `tg` steps of one token a sequence, and prints the times of both parts; `llama-bench -p n -n 0`
prints those of a prompt's repetitions.

- decode: `pl` sequences with a cache of `pp` tokens each are a step of batch `pl`; the context of the middle step is
  told. They are filled with one prompt that is computed once and copied (`-pps`), which the steps do not notice.
- verify at batch 1: `pl` = γ + 1 sequences over one cache (`-pps -kvu`), so that a step decodes γ + 1 tokens, with
  the logits of all, over that context. That is what a verify step does.
- verify at batch b: b (γ + 1) sequences, each with a cache of its own, stand in. A verify step reads γ + 1
  times less cache, so these times are too long rather than too short: on one core, for a model that is mostly
  attention, by 12 to 25 % where both could be measured (batch 1), less where weights weigh more.
- prefill: `llama-bench` at batch 1, the prompts of `llama-batched-bench` above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import Grid, GridPoint

Program = Literal["llama-bench", "llama-batched-bench"]
BENCH: Program = "llama-bench"
BATCHED_BENCH: Program = "llama-batched-bench"

MOST_SEQUENCES = 256
"""LLAMA_MAX_SEQ of the checked version."""
DECODE_STEPS = 16
VERIFY_STEPS = 8
REPETITIONS = 3

Asked = tuple[int, int, int]
"""`pp`, `tg`, `pl` of one row of output; of `llama-bench`: n_prompt, n_gen, 1."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: its arguments besides model and threads, and the step that each row of its output times."""

    program: Program
    kind: str
    rows: Mapping[Asked, GridPoint]
    arguments: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def cost(self) -> float:
        """Tokens computed, those over a long context counted more: enough to put runs in order."""
        shared = "-pps" in self.options
        return sum(
            (pp if shared else pl * pp) * (1.0 + pp / 2000.0) + tg * pl * (1.0 + pp / 1000.0)
            for pp, tg, pl in self.rows
        )


def runs_of(grid: Grid) -> tuple[Run, ...]:
    """The processes that time a grid, cheapest first, but one of each kind of step before all others.

    Points with more sequences than llama.cpp takes are not in them.
    """
    runs = sorted((run for run in _all(grid) if run.rows), key=lambda run: run.cost)
    first = [next((run for run in runs if run.kind == kind), None) for kind in dict.fromkeys(run.kind for run in runs)]
    ahead = sorted((run for run in first if run is not None), key=lambda run: run.cost)
    return (*ahead, *(run for run in runs if run not in ahead))


def unreachable(grid: Grid) -> int:
    """Points of the grid that need more sequences than llama.cpp takes."""
    return sum(
        len(grid.decode_context_tokens)
        for batch in grid.decode_batch
        for new in grid.decode_new_tokens
        if batch * new > MOST_SEQUENCES
    )


def within(run: Run, cells: int) -> Run:
    """The part of a run whose rows keep at most so many tokens in the cache; without rows where none does."""
    kept = {asked: point for asked, point in run.rows.items() if _cells(asked, run.options) <= cells}
    return run if len(kept) == len(run.rows) else _batched(run.kind, kept, *run.options)


def without_widest(run: Run) -> Run:
    """A run without its rows of most sequences."""
    widest = max(sequences for _, _, sequences in run.rows)
    kept = {asked: point for asked, point in run.rows.items() if asked[2] < widest}
    return _batched(run.kind, kept, *run.options)


def _all(grid: Grid) -> Iterator[Run]:
    batches = [batch for batch in grid.decode_batch if batch <= MOST_SEQUENCES]
    verified = [new for new in grid.decode_new_tokens if 1 < new <= MOST_SEQUENCES]
    for context in grid.decode_context_tokens:
        prompt = _prompt(context, DECODE_STEPS)
        step = _middle(prompt, DECODE_STEPS)
        if 1 in grid.decode_new_tokens:
            alone = {(prompt, DECODE_STEPS, batch): GridPoint("decode", batch, 1, step) for batch in batches}
            yield _batched("decode", alone, "-pps")
        prompt = _prompt(context, VERIFY_STEPS)
        step = _middle(prompt, VERIFY_STEPS)
        if 1 in batches:
            one = {(prompt, VERIFY_STEPS, new): GridPoint("decode", 1, new, step) for new in verified}
            yield _batched("verify", one, "-pps", "-kvu")
        for new in verified:
            several = {
                (prompt, VERIFY_STEPS, batch * new): GridPoint("decode", batch, new, step)
                for batch in batches
                if batch > 1 and batch * new <= MOST_SEQUENCES
            }
            yield _batched("verify a batch", several, "-pps")
    for tokens in grid.prefill_tokens:
        if 1 in grid.prefill_batch:
            arguments = ("-p", str(tokens), "-n", "0", "-r", str(REPETITIONS), "-o", "jsonl")
            yield Run(BENCH, "prefill", {(tokens, 0, 1): GridPoint("prefill", 1, tokens, 0)}, arguments)
        several = {
            (tokens, 1, batch): GridPoint("prefill", batch, tokens, 0)
            for batch in grid.prefill_batch
            if 1 < batch <= MOST_SEQUENCES
        }
        yield _batched("prefill a batch", several)


def _batched(kind: str, rows: Mapping[Asked, GridPoint], *options: str) -> Run:
    """`options`: how sequences come by their prompts, "-pps" by copying one, "-kvu" by sharing one cache."""
    prompts, steps, sequences = ({asked[part] for asked in rows} for part in range(3))
    cells = max((_cells(asked, options) for asked in rows), default=0)
    arguments = (
        *("-npp", _listed(prompts), "-ntg", _listed(steps), "-npl", _listed(sequences)),
        *("-c", str(cells), "--output-format", "jsonl"),
        *options,
    )
    return Run(BATCHED_BENCH, kind, rows, arguments, options)


def _cells(asked: Asked, options: tuple[str, ...]) -> int:
    """Tokens that a row keeps in the cache."""
    prompt, steps, sequences = asked
    return sequences * steps + (prompt if "-kvu" in options else sequences * prompt)


def _listed(values: set[int]) -> str:
    return ",".join(str(value) for value in sorted(values))


def _prompt(context: int, steps: int) -> int:
    """Tokens to begin with, so that the middle of the steps stands at `context`."""
    return max(1, context - (steps - 1) // 2)


def _middle(prompt: int, steps: int) -> int:
    return prompt + (steps - 1) // 2


def times_of(run: Run, output: str) -> dict[GridPoint, tuple[float, ...]]:
    """Milliseconds by step, from what a run printed. Raises ``MeasurementError`` where it is not understood."""
    found: dict[GridPoint, tuple[float, ...]] = {}
    for values in rows_of(run.program, output):
        asked, times_ms = _bench(values) if run.program == BENCH else _batched_row(values, run)
        point = run.rows.get(asked)
        if point is not None and times_ms and min(times_ms) > 0.0:
            found[point] = times_ms
    if not found:
        raise MeasurementError(
            f"{run.program} printed no row of what it was asked for ({' '.join(run.arguments)}); "
            f"is it of another version? it printed: {_shown(output)}"
        )
    return found


def rows_of(program: Program, output: str) -> list[dict[str, Any]]:
    """Tables of the JSON lines of an output; lines of other text are passed over."""
    rows = []
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            raise MeasurementError(f"{program} printed a line that is not JSON: {_shown(line)}") from None
    return rows


def _bench(values: dict[str, Any]) -> tuple[Asked, tuple[float, ...]]:
    try:
        asked = int(values["n_prompt"]), int(values["n_gen"]), 1
        return asked, tuple(float(ns) / 1e6 for ns in values["samples_ns"])
    except (KeyError, TypeError, ValueError):
        raise MeasurementError(
            f"{BENCH} printed a row without n_prompt, n_gen and samples_ns: {_shown(json.dumps(values))}"
        ) from None


def _batched_row(values: dict[str, Any], run: Run) -> tuple[Asked, tuple[float, ...]]:
    try:
        asked = int(values["pp"]), int(values["tg"]), int(values["pl"])
        point = run.rows.get(asked)
        seconds = float(values["t_pp"]) if point and point.phase == "prefill" else float(values["t_tg"]) / asked[1]
        return asked, (1000.0 * seconds,)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise MeasurementError(
            f"{BATCHED_BENCH} printed a row without pp, tg, pl, t_pp and t_tg: {_shown(json.dumps(values))}"
        ) from None


def _shown(text: str) -> str:
    return repr(text.strip()[:200]) if text.strip() else "nothing"
