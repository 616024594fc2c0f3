"""The latency cache of DSD-Sim, and rows of the same names: what Vidur's predictors said of a phase.

Written from DSD-Sim's performance provider as of commit 9925ca1; no file that it wrote was at hand. Either
``{"entries": [{"key": [phase, model, hardware, batch, microbatch, sequence length, tokens to generate, context
length, …], "latency_ms", "latency_p95_ms", "energy_mj"}]}``, or JSON, JSONL or CSV rows with ``phase, model,
hardware, batch_size, sequence_length, tokens_to_generate, context_length, latency_ms``.

These are predictions, not measurements, and the profile says so. Of a prefill the sequence length is the
prompt; of a verify, tokens to generate are the new tokens of one step; of a decode phase only rows of one token are
a step, the others are counted and left out. Energies carry no clear unit and are not imported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dsd_plan.domain.profile import Phase, ProfilePoint
from dsd_plan.errors import Problem, ProfileError
from dsd_plan.files.profile_import.imported import (
    NO_VERIFY,
    ONE_VALUE,
    Imported,
    ImportedProfile,
    ImportOptions,
    citation_warnings,
    cited,
    one_value,
    refuse,
)
from dsd_plan.files.profile_import.rows import Row, all_problems, csv_rows, json_rows
from dsd_plan.files.reading import FileText, read_file

UNVERIFIED = "dsd-sim is read from DSD-Sim's sources and was not checked against a file that it wrote"
KEY = (
    *("phase", "model", "hardware", "batch_size", "microbatch_size"),
    *("sequence_length", "tokens_to_generate", "context_length"),
)
"""The first values of an entry's key, in their order."""
COLUMNS = tuple(name for name in KEY if name != "microbatch_size")
VERIFIES = ("verify",)
DECODES = ("decode", "draft_decode", "target_decode")
PREFILLS = ("prefill", "prompt")

Step = tuple[Phase, int, int, int]


def read(path: Path, options: ImportOptions) -> Imported:
    """A profile for each model and hardware in the file. Raises ProfileError."""
    file = read_file(path, ProfileError)
    rows = _rows(file)
    groups: dict[tuple[str, str], dict[Step, float]] = defaultdict(dict)
    left_out = 0
    for row in rows:
        model, hardware = row.text("model"), row.text("hardware")
        latency_ms = row.above_zero("latency_ms")
        step = _step(row)
        if row.problems or model is None or hardware is None or latency_ms is None:
            continue
        if step is None:
            left_out += 1
            continue
        if groups[model, hardware].setdefault(step, latency_ms) != latency_ms:
            row.problems.append(Problem(row.place, "the same step is there already with another time; keep one"))
    refuse(file.name, all_problems(rows))
    if not groups:
        raise ProfileError(file.name, f"none of its {len(rows)} rows is a single step")
    if len(groups) > 1 and (options.device or options.model):
        raise ProfileError(file.name, f"holds {len(groups)} profiles, which cannot all have one name")
    profiles = [
        _profile(file, options.device or hardware, options.model or model, steps, left_out, options)
        for (model, hardware), steps in sorted(groups.items())
    ]
    return Imported(tuple(profiles), (UNVERIFIED, *citation_warnings(options)))


def _rows(file: FileText) -> Sequence[Row]:
    if file.path.suffix.lower() == ".csv":
        return csv_rows(file, (*COLUMNS, "latency_ms"))
    rows = json_rows(file, "entries")
    for row in rows:
        key = row.values.get("key")
        if key is None:
            continue
        if not isinstance(key, list) or len(key) < len(KEY):
            row.problems.append(Problem(row.place, f"key: expected a list of at least {len(KEY)} values"))
            continue
        row.values = {**row.values, **dict(zip(KEY, key, strict=False))}
    return rows


def _step(row: Row) -> Step | None:
    phase, batch = row.text("phase"), row.whole("batch_size", 1)
    if phase is None or batch is None:
        return None
    if phase.lower() in PREFILLS:
        prompt = row.whole("sequence_length", 1)
        return None if prompt is None else ("prefill", batch, prompt, 0)
    if phase.lower() not in (*VERIFIES, *DECODES):
        known = ", ".join((*PREFILLS, *DECODES, *VERIFIES))
        row.problems.append(Problem(row.place, f'phase: found "{phase}", expected one of {known}'))
        return None
    new_tokens, context = row.whole("tokens_to_generate", 1), row.whole("context_length")
    if new_tokens is None or context is None or (new_tokens > 1 and phase.lower() in DECODES):
        return None
    return "decode", batch, new_tokens, context


def _profile(
    file: FileText, device: str, model: str, steps: dict[Step, float], left_out: int, options: ImportOptions
) -> ImportedProfile:
    points = tuple(
        ProfilePoint(
            phase=step[0],
            batch=step[1],
            new_tokens=step[2],
            context_tokens=step[3],
            samples=1,
            latency_ms=one_value(steps[step]),
        )
        for step in sorted(steps)
    )
    verify = any(phase == "decode" and new_tokens > 1 for phase, _, new_tokens, _ in steps)
    return ImportedProfile(
        device=device,
        model=model,
        points=points,
        method={
            "imported_from": "dsd-sim",
            "unverified": UNVERIFIED,
            "source_sha256": file.sha256,
            "predicted": "by Vidur's predictors; nothing here was timed",
            "rows_left_out": left_out,
            "spread": ONE_VALUE,
            "verify": None if verify else NO_VERIFY,
        },
        citation=cited(options, "latencies in the layout of DSD-Sim's cache"),
    )
