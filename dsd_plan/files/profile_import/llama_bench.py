"""What llama.cpp's own benchmarks print: `llama-bench -o json|jsonl` and `llama-batched-bench --output-format jsonl`.

`llama-bench`: a test is a prompt of `n_prompt` tokens, or `n_gen` tokens one after the other, after `n_depth`
tokens; `samples_ns` are the times of its repetitions. A generation of n tokens gives the mean time of a decode
step of one sequence at the middle of it. A prompt at depth 0 is a prefill. At a depth it is a chunk of a prompt over a
cache, or, up to 32 tokens, taken for a step that verifies as many, though llama-bench asks the last token's
logits only. Tests of both kinds at once (`-pg`) are left out.

`llama-batched-bench`: `pl` sequences with prompts of `pp` tokens each, or one shared by all, then `tg` tokens
each: `t_pp` seconds for the prompts, `t_tg` for the `tg` steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dsd_plan.domain.profile import Phase, ProfilePoint
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
from dsd_plan.files.profile_import.rows import Row, all_problems, json_rows
from dsd_plan.files.reading import FileText, read_file

MOST_VERIFIED = 32
"""Tokens of a prompt at a depth up to which it is taken for a verify step."""

Key = tuple[Phase, int, int, int]
"""Phase, batch, new tokens, context."""
Timed = dict[Key, list[float]]
"""Milliseconds of each repetition."""


def read_bench(path: Path, options: ImportOptions) -> Imported:
    """A profile for each model file in the output of `llama-bench`. Raises ProfileError."""
    file = read_file(path, ProfileError)
    rows = json_rows(file)
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[str(row.values.get("model_filename", ""))].append(row)
    if len(groups) > 1 and options.model:
        raise ProfileError(file.name, f"holds {len(groups)} models, which cannot all be called {options.model!r}")
    timed = {name: bench_times(group) for name, group in groups.items()}
    refuse(file.name, all_problems(rows))
    profiles = []
    for name, (times, left_out) in timed.items():
        first = groups[name][0].values
        model = options.model or Path(name).stem
        builds = f"llama.cpp {first.get('build_number', '')} ({first.get('build_commit', '')})"
        extra = {
            "threads": _plain(first.get("n_threads")),
            "gpu_layers": _plain(first.get("n_gpu_layers")),
            "tests_left_out": left_out,
            "processor": _plain(first.get("gpu_info") or first.get("cpu_info")),
        }
        profiles.append(
            _profile(
                file,
                "llama-bench",
                model,
                times,
                options,
                builds,
                extra,
                _plain(first.get("test_time")),
                _plain(first.get("model_type")),
            )
        )
    return Imported(tuple(profiles), citation_warnings(options))


def read_batched_bench(path: Path, options: ImportOptions) -> Imported:
    """The profile in the output of `llama-batched-bench`. Raises ProfileError."""
    file = read_file(path, ProfileError)
    rows = json_rows(file)
    times = batched_times(rows)
    refuse(file.name, all_problems(rows))
    if options.model is None:
        raise ProfileError(file.name, "llama-batched-bench does not say which model it ran; give --model")
    extra = {
        "threads": _plain(rows[0].values.get("n_threads")),
        "gpu_layers": _plain(rows[0].values.get("n_gpu_layers")),
    }
    found = _profile(file, "llama-batched-bench", options.model, times, options, "llama.cpp", extra, None)
    return Imported((found,), citation_warnings(options))


def bench_times(rows: Sequence[Row]) -> tuple[Timed, int]:
    """Times of the tests of `llama-bench`, and how many of them are of two kinds at once."""
    times: Timed = defaultdict(list)
    left_out = 0
    for row in rows:
        prompt, generated = row.whole("n_prompt"), row.whole("n_gen")
        depth = row.whole("n_depth") if "n_depth" in row.values else 0
        samples_ns = _samples_ns(row)
        if prompt is None or generated is None or depth is None or samples_ns is None:
            continue
        if prompt and generated:
            left_out += 1
        elif prompt:
            key: Key = ("decode" if depth and prompt <= MOST_VERIFIED else "prefill", 1, prompt, depth)
            times[key] += [ns / 1e6 for ns in samples_ns]
        elif generated:
            times["decode", 1, 1, depth + (generated - 1) // 2] += [ns / 1e6 / generated for ns in samples_ns]
        else:
            row.problems.append(Problem(row.place, "n_prompt and n_gen are both 0: nothing was timed"))
    return times, left_out


def batched_times(rows: Sequence[Row]) -> Timed:
    """Times of the runs of `llama-batched-bench`: a prefill and a decode step of each."""
    times: Timed = defaultdict(list)
    for row in rows:
        prompt, generated, batch = row.whole("pp"), row.whole("tg"), row.whole("pl", 1)
        prompt_s, decode_s = row.not_negative("t_pp"), row.not_negative("t_tg")
        shared = row.values.get("is_pp_shared") in (1, True)
        if prompt is None or generated is None or batch is None or prompt_s is None or decode_s is None:
            continue
        if prompt and prompt_s:
            times["prefill", 1 if shared else batch, prompt, 0].append(1000.0 * prompt_s)
        if generated and decode_s:
            times["decode", batch, 1, prompt + (generated - 1) // 2].append(1000.0 * decode_s / generated)
    return times


def points_of(times: Timed) -> tuple[ProfilePoint, ...]:
    """Points in order, each with the spread of its repetitions."""
    return tuple(
        ProfilePoint(
            phase=phase,
            batch=batch,
            new_tokens=new_tokens,
            context_tokens=context,
            samples=len(times[phase, batch, new_tokens, context]),
            latency_ms=spread(times[phase, batch, new_tokens, context]),
        )
        for phase, batch, new_tokens, context in sorted(times)
    )


def _samples_ns(row: Row) -> list[float] | None:
    """All repetitions where they are given, else their mean."""
    listed = row.values.get("samples_ns")
    if listed is None:
        mean = row.above_zero("avg_ns")
        return None if mean is None else [mean]
    if not isinstance(listed, list) or not listed:
        row.problems.append(Problem(row.place, "samples_ns: expected a list of times"))
        return None
    samples = Row(row.place, {f"samples_ns[{index}]": value for index, value in enumerate(listed)}, row.problems)
    found = [samples.above_zero(key) for key in samples.values]
    return [value for value in found if value is not None] if None not in found else None


def _plain(value: object) -> str | int | float | None:
    return value if isinstance(value, str | int | float) and value != "" else None


def _profile(
    file: FileText,
    kind: str,
    model: str,
    times: Timed,
    options: ImportOptions,
    backend: str,
    extra: dict[str, str | int | float | None],
    measured_at: str | int | float | None,
    precision: str | int | float | None = None,
) -> ImportedProfile:
    if options.device is None:
        raise ProfileError(file.name, "the output does not name the device as a scenario would; give --device")
    points = points_of(times)
    verify = any(point.phase == "decode" and point.new_tokens > 1 for point in points)
    return ImportedProfile(
        device=options.device,
        model=model,
        points=points,
        method={
            "imported_from": kind,
            "source_sha256": file.sha256,
            **extra,
            "spread": "over repetitions; a decode time is the mean over the steps of one",
            "context": "of the middle step of a generation",
            "verify": "at batch 1: a prompt of that many tokens at a depth, logits of its last token only"
            if verify
            else NO_VERIFY,
        },
        citation=cited(options, f"output of {kind}"),
        backend=backend,
        precision=precision if isinstance(precision, str) else None,
        measured_at=measured_at if isinstance(measured_at, str) else None,
    )
