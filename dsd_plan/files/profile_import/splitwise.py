"""`perf_model.csv` of SplitwiseSim: runs of llama2-70b and bloom-176b on A100 and H100 machines.

Checked against the file as of commit 8f99e7d (1,260 rows). A row is one run: a batch of equal prompts, each
continued by `token_size` tokens; `prompt_time` is the time of the prefill in ms, `token_time` the mean time of
a decode step in ms, `e2e_time` that of the run in ms.

- Rows for ``h100-80gb-pcap`` are those of ``h100-80gb`` with the prompt time multiplied: derived, left out.
- Equal rows are the same run written twice: counted once.
- How many steps a run had follows from its end-to-end time, (e2e − prompt) / token. Where that is not
  token_size − 1 (within 2 %), the run stopped early or its batch did not fit and ran in turns: its
  decode time belongs to another context or batch than the row says, and is left out, and with a batch in
  turns its prompt time as well.
- A run's steps see between prompt and prompt + token_size − 2 tokens of context, so their mean time is
  that of a step at the middle, prompt + (token_size − 2) / 2.
- Powers are shares of something that the table does not name, and 0 where none was taken: not imported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from dsd_plan.domain.profile import ProfilePoint
from dsd_plan.errors import Problem, ProfileError
from dsd_plan.files.profile_import.imported import (
    NO_VERIFY,
    Imported,
    ImportedProfile,
    ImportOptions,
    citation_warnings,
    cited,
    refuse,
    spread,
)
from dsd_plan.files.profile_import.rows import Row, all_problems, csv_rows
from dsd_plan.files.reading import FileText, read_file

COLUMNS = (
    *("model", "hardware", "prompt_size", "batch_size", "token_size"),
    *("prompt_time", "token_time", "e2e_time", "tensor_parallel"),
)
DERIVED = ("h100-80gb-pcap",)
STEPS_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class _Run:
    model: str
    hardware: str
    tensor_parallel: int
    batch: int
    prompt: int
    tokens: int
    prompt_ms: float
    token_ms: float
    e2e_ms: float

    @property
    def steps_share(self) -> float:
        """Decode steps that the run's time holds, as a share of those asked for."""
        return (self.e2e_ms - self.prompt_ms) / self.token_ms / (self.tokens - 1)


def read(path: Path, options: ImportOptions) -> Imported:
    """A profile for each model, hardware and degree of tensor parallelism. Raises ProfileError."""
    file = read_file(path, ProfileError)
    rows = csv_rows(file, COLUMNS)
    distinct = list({tuple(row.values.items()): row for row in rows}.values())
    runs = [run for row in distinct if (run := _run(row)) is not None]
    refuse(file.name, all_problems(rows))
    groups: dict[tuple[str, str, int], list[_Run]] = defaultdict(list)
    for run in runs:
        if run.hardware not in DERIVED:
            groups[run.model, run.hardware, run.tensor_parallel].append(run)
    if not groups:
        raise ProfileError(file.name, "holds only derived rows; nothing in it was measured")
    if len(groups) > 1 and (options.device or options.model):
        raise ProfileError(
            file.name,
            f"holds {len(groups)} profiles, which cannot all have one name; leave out --device and --model, "
            "and rename the files that you want",
        )
    derived = sum(run.hardware in DERIVED for run in runs)
    warnings = [*citation_warnings(options)]
    if len(rows) > len(distinct):
        warnings.append(f"{len(rows) - len(distinct)} rows are written twice; each is counted once")
    if derived:
        warnings.append(f"{derived} rows of {', '.join(DERIVED)} are computed from others, not measured: left out")
    profiles = [_profile(file, key, group, options) for key, group in sorted(groups.items())]
    return Imported(tuple(profiles), tuple(warnings))


def _run(row: Row) -> _Run | None:
    model, hardware = row.text("model"), row.text("hardware")
    tensor_parallel, batch = row.whole("tensor_parallel", 1), row.whole("batch_size", 1)
    prompt, tokens = row.whole("prompt_size", 1), row.whole("token_size", 2)
    prompt_ms, token_ms = row.above_zero("prompt_time"), row.above_zero("token_time")
    e2e_ms = row.above_zero("e2e_time")
    if e2e_ms is not None and prompt_ms is not None and e2e_ms < prompt_ms:
        row.problems.append(Problem(row.place, f"e2e_time {e2e_ms:g} is shorter than prompt_time {prompt_ms:g}"))
    if row.problems or model is None or hardware is None or tensor_parallel is None or batch is None:
        return None
    if prompt is None or tokens is None or prompt_ms is None or token_ms is None or e2e_ms is None:
        return None
    return _Run(model, hardware, tensor_parallel, batch, prompt, tokens, prompt_ms, token_ms, e2e_ms)


def _profile(file: FileText, key: tuple[str, str, int], runs: list[_Run], options: ImportOptions) -> ImportedProfile:
    model, hardware, tensor_parallel = key
    in_turns = [run for run in runs if run.steps_share > 1.0 + STEPS_TOLERANCE]
    stopped = [run for run in runs if run.steps_share < 1.0 - STEPS_TOLERANCE]
    decode: dict[tuple[int, int], list[float]] = defaultdict(list)
    prefill: dict[tuple[int, int], list[float]] = defaultdict(list)
    for run in runs:
        if run not in in_turns:
            prefill[run.batch, run.prompt].append(run.prompt_ms)
            if run not in stopped:
                decode[run.batch, run.prompt + (run.tokens - 2) // 2].append(run.token_ms)
    points = [
        *(_point("decode", batch, 1, context, times) for (batch, context), times in sorted(decode.items())),
        *(_point("prefill", batch, prompt, 0, times) for (batch, prompt), times in sorted(prefill.items())),
    ]
    turns = Counter((run.batch, run.prompt) for run in in_turns)
    return ImportedProfile(
        device=options.device or f"{hardware}-tp{tensor_parallel}",
        model=options.model or model,
        points=tuple(points),
        method={
            "imported_from": "splitwise",
            "source_sha256": file.sha256,
            "tensor_parallel": tensor_parallel,
            "runs": len(runs),
            "runs_in_turns": len(in_turns),
            "batches_in_turns": ", ".join(f"{batch} of {prompt} tokens" for batch, prompt in sorted(turns)) or None,
            "runs_stopped_early": len(stopped),
            "spread": "over runs; a decode time is the mean over the steps of one run",
            "context": "of the middle step of a run",
            "verify": NO_VERIFY,
            "power": "published as shares of an unnamed power, on some rows only: not imported",
        },
        citation=cited(options, "a table in the layout of SplitwiseSim's perf_model.csv"),
    )


def _point(phase: str, batch: int, new_tokens: int, context: int, times_ms: list[float]) -> ProfilePoint:
    return ProfilePoint(
        phase="decode" if phase == "decode" else "prefill",
        batch=batch,
        new_tokens=new_tokens,
        context_tokens=context,
        samples=len(times_ms),
        latency_ms=spread(times_ms),
    )
