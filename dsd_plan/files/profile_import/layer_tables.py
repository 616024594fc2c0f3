"""Layer tables of LLMServingSim: times of one layer's operations, put together to steps of the whole model.

Checked against the tables of an RTX 4090 with Llama-3.1-8B, profiler 1.0.0 on vLLM 0.19.0, as of commit 5daddb2.
FILE is the folder of `dense.csv`, `attention.csv`, `per_sequence.csv`, with `meta.yaml` in it or above it.
Times are means in µs of as many repetitions as `meta.yaml` says.

A step of b sequences with q new tokens each over c of context takes, with T = b·q tokens,

    embedding(T) + layers · block(T, b, q, c) + final_layernorm(T) + lm_head(n) + sampler(n),

n being the tokens whose logits are wanted: T in decode and verify steps, b in a prefill. A block is two
layernorms, qkv_proj, rotary_emb, attention, o_proj, gate_up_proj, act_fn and down_proj. The tables leave out
what is not a layer: scheduling, launches, and transfers between devices (so one device only).

Attention is tabulated for decoding sequences of one new token each, for one prompt chunk, and for both at once.
So decode steps come for every batch and context in the table; prefills for one prompt; verify steps only where the
table says `decode_q_len`, which newer profilers write (from their documentation, not from a sample).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from dsd_plan.files.profile_import.rows import all_problems, csv_rows
from dsd_plan.files.reading import FileText, read_file, text_of

BLOCK = {
    "layernorm": 2,
    "qkv_proj": 1,
    "rotary_emb": 1,
    "o_proj": 1,
    "gate_up_proj": 1,
    "act_fn": 1,
    "down_proj": 1,
}
"""How often a block of a dense decoder runs each of its operations, besides attention."""
ONCE = ("embedding", "final_layernorm")
PER_SEQUENCE = ("lm_head", "sampler")
FILES = ("dense.csv", "attention.csv", "per_sequence.csv")
SETTING = re.compile(r"^([A-Za-z_]\w*):[ \t]+(.+?)[ \t]*$")
"""A key and a plain value at the left margin of a YAML file; nothing else of it is read."""

Times = Mapping[tuple[str, int], float]
"""µs by operation and tokens, or sequences."""


@dataclass(frozen=True, slots=True)
class _Attention:
    chunk: int
    """Tokens of the prompt chunk; 0: none."""
    chunk_context: int
    sequences: int
    new_tokens: int
    """Of each decoding sequence."""
    context: int
    time_us: float


def read(path: Path, options: ImportOptions) -> Imported:
    """The profile that the tables of one folder make. Raises ProfileError."""
    folder = path if path.is_dir() else path.parent
    if options.layers is None:
        raise ProfileError(
            str(folder), "the tables hold one layer; say how many the model has with --layers (Llama-3.1-8B: 32)"
        )
    _refuse_parts(folder)
    files = [read_file(folder / name, ProfileError) for name in FILES]
    meta_file = _meta(folder)
    settings = _settings(meta_file)
    dense, dense_problems = _times(files[0], "tokens")
    attention, attention_problems = _attention(files[1])
    per_sequence, sequence_problems = _times(files[2], "sequences")
    lacking = [
        Problem(name, f'no operation "{operation}"; it is not the dense decoder that this importer knows')
        for name, table, wanted in (
            (FILES[0], dense, (*ONCE, *BLOCK)),
            (FILES[2], per_sequence, PER_SEQUENCE),
        )
        for operation in wanted
        if not any(found == operation for found, _ in table)
    ]
    refuse(str(folder), [*dense_problems, *attention_problems, *sequence_problems, *lacking])
    points, left_out = _points(dense, per_sequence, attention, options.layers)
    if not points:
        raise ProfileError(str(folder), "no row of attention.csv has its tokens in the other tables; nothing to add up")
    verify = any(point.phase == "decode" and point.new_tokens > 1 for point in points)
    device, model = options.device or settings.get("hardware"), options.model or _short(settings.get("model"))
    if device is None or model is None:
        raise ProfileError(str(folder), "meta.yaml does not name hardware and model; give --device and --model")
    found = ImportedProfile(
        device=device,
        model=model,
        points=tuple(points),
        method={
            "imported_from": "layer-tables",
            "source_sha256": files[0].sha256,
            "source_sha256_attention": files[1].sha256,
            "source_sha256_per_sequence": files[2].sha256,
            "layers": options.layers,
            "composed": "sum of measured operations of one layer, times layers; scheduling and launches are not in it",
            "attention_rows_mixed": sum(row.chunk > 0 and row.sequences > 0 for row in attention),
            "attention_rows_left_out": left_out,
            "measured_model": settings.get("model"),
            "repetitions": settings.get("measurement_iterations"),
            "spread": ONE_VALUE,
            "verify": None if verify else NO_VERIFY,
            "prefill": "of one prompt: the attention of several is not in the tables",
        },
        citation=cited(options, "layer tables in the layout of LLMServingSim's profiler"),
        backend=f"vllm {settings['vllm_version']}" if "vllm_version" in settings else None,
        precision=settings.get("variant"),
        software={
            key: settings[f"{key}_version"] for key in ("profiler", "vllm", "cuda") if f"{key}_version" in settings
        }
        or None,
        measured_at=settings.get("profiled_at"),
    )
    return Imported((found,), citation_warnings(options))


def _refuse_parts(folder: Path) -> None:
    """Tables of a part of the work: experts, or one of several devices."""
    degree = re.fullmatch(r"tp(\d+)", folder.resolve().name)
    if degree is not None and int(degree[1]) > 1:
        raise ProfileError(
            str(folder),
            f"holds one device's share of {degree[1]}; the transfers between them are not in the tables: import tp1",
        )
    if (folder / "moe.csv").exists():
        raise ProfileError(str(folder), "holds tables of experts (moe.csv), which are not supported: dense models only")


def _meta(folder: Path) -> FileText | None:
    for place in (folder, folder.resolve().parent):
        if (place / "meta.yaml").exists():
            return read_file(place / "meta.yaml", ProfileError)
    return None


def _settings(file: FileText | None) -> dict[str, str]:
    if file is None:
        return {}
    found = (SETTING.match(line) for line in text_of(file, ProfileError).splitlines())
    return {match[1]: match[2].strip("'\"") for match in found if match is not None}


def _short(model: str | None) -> str | None:
    """Without the name of the organisation, which would make a folder of it."""
    return None if model is None else model.rsplit("/", 1)[-1]


def _times(file: FileText, count: str) -> tuple[Times, list[Problem]]:
    rows = csv_rows(file, ("layer", count, "time_us"), file.path.name)
    times: dict[tuple[str, int], float] = {}
    for row in rows:
        layer, tokens, time_us = row.text("layer"), row.whole(count, 1), row.above_zero("time_us")
        if layer is None or tokens is None or time_us is None:
            continue
        if (layer, tokens) in times:
            row.problems.append(Problem(row.place, f"{layer} of {tokens} {count} is there twice; keep one"))
        times[layer, tokens] = time_us
    return times, all_problems(rows)


def _attention(file: FileText) -> tuple[list[_Attention], list[Problem]]:
    columns = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")
    rows = csv_rows(file, (*columns, "time_us"), file.path.name)
    found = []
    for row in rows:
        chunk, chunk_context, sequences, context = (row.whole(column) for column in columns)
        new_tokens = row.whole("decode_q_len", 1) if "decode_q_len" in row.values else 1
        time_us = row.above_zero("time_us")
        if chunk is None or chunk_context is None or sequences is None or context is None:
            continue
        if new_tokens is None or time_us is None:
            continue
        found.append(_Attention(chunk, chunk_context, sequences, new_tokens, context, time_us))
    return found, all_problems(rows)


def _points(
    dense: Times, per_sequence: Times, attention: list[_Attention], layers: int
) -> tuple[list[ProfilePoint], int]:
    """Steps that the tables hold every part of, and how many rows of pure decodes and prefills lack one."""
    points: dict[tuple[Phase, int, int, int], ProfilePoint] = {}
    left_out = 0
    for phase, batch, new_tokens, context, attention_us in _steps(attention):
        time_us = _step_us(dense, per_sequence, phase, batch, new_tokens, attention_us, layers)
        if time_us is None:
            left_out += 1
            continue
        points[phase, batch, new_tokens, context] = ProfilePoint(
            phase=phase,
            batch=batch,
            new_tokens=new_tokens,
            context_tokens=context,
            samples=1,
            latency_ms=one_value(time_us / 1000.0),
        )
    return [points[key] for key in sorted(points)], left_out


def _steps(attention: list[_Attention]) -> Iterator[tuple[Phase, int, int, int, float]]:
    """Phase, batch, new tokens, context and attention time of the rows that are one kind of step alone."""
    for row in attention:
        if row.chunk == 0 and row.sequences > 0:
            yield "decode", row.sequences, row.new_tokens, row.context, row.time_us
        elif row.chunk > 0 and row.sequences == 0 and row.chunk_context == 0:
            yield "prefill", 1, row.chunk, 0, row.time_us


def _step_us(
    dense: Times, per_sequence: Times, phase: Phase, batch: int, new_tokens: int, attention_us: float, layers: int
) -> float | None:
    tokens = batch * new_tokens
    outputs = batch if phase == "prefill" else tokens
    needed = [*((name, tokens) for name in (*ONCE, *BLOCK))]
    if any(key not in dense for key in needed) or any((name, outputs) not in per_sequence for name in PER_SEQUENCE):
        return None
    block_us = attention_us + sum(times * dense[name, tokens] for name, times in BLOCK.items())
    once_us = sum(dense[name, tokens] for name in ONCE)
    return once_us + layers * block_us + sum(per_sequence[name, outputs] for name in PER_SEQUENCE)
