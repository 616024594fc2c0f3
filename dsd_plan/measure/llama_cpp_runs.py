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
from dsd_plan.measure.grid import Grid, GridPoint

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
    arguments: tuple[str, ...]
    rows: Mapping[Asked, GridPoint]


def runs_of(grid: Grid) -> tuple[Run, ...]:
    """The processes that time a grid. Points with more sequences than llama.cpp takes are not in them."""
    return tuple(run for run in _all(grid) if run.rows)


def unreachable(grid: Grid) -> int:
    """Points of the grid that need more sequences than llama.cpp takes."""
    return sum(
        len(grid.decode_context_tokens)
        for batch in grid.decode_batch
        for new in grid.decode_new_tokens
        if batch * new > MOST_SEQUENCES
    )


def _all(grid: Grid) -> Iterator[Run]:
    batches = [batch for batch in grid.decode_batch if batch <= MOST_SEQUENCES]
    verified = [new for new in grid.decode_new_tokens if 1 < new <= MOST_SEQUENCES]
    prompts = {_prompt(context, DECODE_STEPS): context for context in grid.decode_context_tokens}
    if 1 in grid.decode_new_tokens:
        yield _batched(
            {
                (prompt, DECODE_STEPS, batch): GridPoint("decode", batch, 1, _middle(prompt, DECODE_STEPS))
                for prompt in prompts
                for batch in batches
            },
            "-pps",
        )
    shared = [_prompt(context, VERIFY_STEPS) for context in grid.decode_context_tokens]
    if 1 in batches:
        yield _batched(
            {
                (prompt, VERIFY_STEPS, new): GridPoint("decode", 1, new, _middle(prompt, VERIFY_STEPS))
                for prompt in shared
                for new in verified
            },
            "-pps",
            "-kvu",
        )
    for new in verified:
        yield _batched(
            {
                (prompt, VERIFY_STEPS, batch * new): GridPoint("decode", batch, new, _middle(prompt, VERIFY_STEPS))
                for prompt in shared
                for batch in batches
                if batch > 1 and batch * new <= MOST_SEQUENCES
            },
            "-pps",
        )
    if 1 in grid.prefill_batch:
        tokens = ",".join(str(tokens) for tokens in grid.prefill_tokens)
        yield Run(
            BENCH,
            ("-p", tokens, "-n", "0", "-r", str(REPETITIONS), "-o", "jsonl"),
            {(tokens, 0, 1): GridPoint("prefill", 1, tokens, 0) for tokens in grid.prefill_tokens},
        )
    yield _batched(
        {
            (tokens, 1, batch): GridPoint("prefill", batch, tokens, 0)
            for tokens in grid.prefill_tokens
            for batch in grid.prefill_batch
            if 1 < batch <= MOST_SEQUENCES
        }
    )


def _batched(rows: Mapping[Asked, GridPoint], *options: str) -> Run:
    """`options`: how sequences come by their prompts, "-pps" by copying one, "-kvu" by sharing one cache."""
    prompts, steps, sequences = ({asked[part] for asked in rows} for part in range(3))
    cells = max((pl * tg + (pp if "-kvu" in options else pl * pp) for pp, tg, pl in rows), default=0)
    arguments = (
        *("-npp", _listed(prompts), "-ntg", _listed(steps), "-npl", _listed(sequences)),
        *("-c", str(cells), "--output-format", "jsonl"),
        *options,
    )
    return Run(BATCHED_BENCH, arguments, rows)


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
