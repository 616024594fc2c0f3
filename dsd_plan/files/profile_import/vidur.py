"""Vidur's operator profiles, `mlp.csv` and `attention.csv` of one folder, put together to steps of the whole model.

Columns and unit (ms) as in data/profiling of microsoft/vidur, commits bee57da and e2d00e9; the header and some
rows of each were read, no whole file was at hand. Medians are taken; rows of the same key are averaged.

A step of T tokens is ``emb(T) + layers · (input_layernorm + attn_pre_proj + attn_rope + attention +
attn_post_proj + post_attention_layernorm + mlp_up_proj + mlp_act + mlp_down_proj + add)(T)``; attention is that of
the batch and context: attn_decode or attn_prefill, with what is done before and after it. The output layer, the
sampler, scheduling and transfers are not in these tables, so times are short by them. One device only.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import fmean

from dsd_plan.domain.profile import Phase, ProfilePoint
from dsd_plan.errors import ProfileError
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
from dsd_plan.files.profile_import.rows import Row, all_problems, csv_rows
from dsd_plan.files.reading import read_file

UNVERIFIED = (
    "vidur is read from the header and first rows of its published tables and was not checked against a whole one"
)
BLOCK = (
    *("input_layernorm", "attn_pre_proj", "attn_rope", "attn_post_proj", "post_attention_layernorm"),
    *("mlp_up_proj", "mlp_act", "mlp_down_proj", "add"),
)
AROUND_ATTENTION = ("attn_input_reshape", "attn_kv_cache_save", "attn_output_reshape")
FILES = ("mlp.csv", "attention.csv")

Step = tuple[Phase, int, int, int]


def read(path: Path, options: ImportOptions) -> Imported:
    """The profile that the tables of one folder make. Raises ProfileError."""
    folder = path if path.is_dir() else path.parent
    if options.layers is None:
        raise ProfileError(str(folder), "the tables hold one layer; say how many the model has with --layers")
    if options.device is None or options.model is None:
        raise ProfileError(str(folder), "the tables name neither device nor model; give --device and --model")
    mlp_file, attention_file = (read_file(folder / name, ProfileError) for name in FILES)
    mlp_rows = csv_rows(mlp_file, (*(_column(name) for name in ("emb", *BLOCK)), *("num_tokens", _WORKERS)), FILES[0])
    attention_rows = csv_rows(
        attention_file,
        (*("batch_size", "prefill_chunk_size", "kv_cache_size", "is_prefill"), _column("attn_decode"), _WORKERS),
        FILES[1],
    )
    emb_ms, block_ms = _tokens(mlp_rows)
    attention_ms = _attention(attention_rows)
    refuse(str(folder), [*all_problems(mlp_rows), *all_problems(attention_rows)])
    points = [
        ProfilePoint(
            phase=phase,
            batch=batch,
            new_tokens=new_tokens,
            context_tokens=context,
            samples=1,
            latency_ms=one_value(emb_ms[tokens] + options.layers * (block_ms[tokens] + attention_ms[step])),
        )
        for step in sorted(attention_ms)
        for phase, batch, new_tokens, context in [step]
        if (tokens := batch * new_tokens) in block_ms
    ]
    if not points:
        raise ProfileError(str(folder), "no step of one device has its tokens in both tables; nothing to add up")
    found = ImportedProfile(
        device=options.device,
        model=options.model,
        points=tuple(points),
        method={
            "imported_from": "vidur",
            "unverified": UNVERIFIED,
            "source_sha256": mlp_file.sha256,
            "source_sha256_attention": attention_file.sha256,
            "layers": options.layers,
            "composed": "operators of one layer, times layers; output layer, sampler, scheduling are not in it",
            "attention_rows_left_out": len(attention_ms) - len(points),
            "spread": ONE_VALUE,
            "verify": NO_VERIFY,
            "prefill": "of one prompt: the attention of several is not in the tables",
        },
        citation=cited(options, "operator profiles in the layout of Vidur"),
    )
    return Imported((found,), (UNVERIFIED, *citation_warnings(options)))


_WORKERS = "num_tensor_parallel_workers"


def _column(operation: str) -> str:
    return f"time_stats.{operation}.median"


def _tokens(rows: list[Row]) -> tuple[dict[int, float], dict[int, float]]:
    """Embedding and block without attention, in ms by tokens."""
    emb: dict[int, list[float]] = defaultdict(list)
    block: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        workers, tokens = row.whole(_WORKERS, 1), row.whole("num_tokens", 1)
        parts = [row.not_negative(_column(name)) for name in ("emb", *BLOCK)]
        known = [part for part in parts if part is not None]
        if workers == 1 and tokens is not None and len(known) == len(parts):
            emb[tokens].append(known[0])
            block[tokens].append(sum(known[1:]))
    return {key: fmean(values) for key, values in emb.items()}, {key: fmean(values) for key, values in block.items()}


def _attention(rows: list[Row]) -> dict[Step, float]:
    """Attention in ms by step: decodes of one token each, and prefills of one prompt with nothing cached."""
    found: dict[Step, list[float]] = defaultdict(list)
    for row in rows:
        workers, batch = row.whole(_WORKERS, 1), row.whole("batch_size", 1)
        chunk, context = row.whole("prefill_chunk_size"), row.whole("kv_cache_size")
        prefill = str(row.values.get("is_prefill", "")).strip().lower() == "true"
        if workers != 1 or batch is None or chunk is None or context is None:
            continue
        if prefill and (context or batch > 1 or not chunk):
            continue
        main = row.not_negative(_column("attn_prefill" if prefill else "attn_decode"))
        around = [row.not_negative(_column(name)) for name in AROUND_ATTENTION if row.values.get(_column(name))]
        if main is None or None in around:
            continue
        step: Step = ("prefill", 1, chunk, 0) if prefill else ("decode", batch, 1, context)
        found[step].append(main + sum(part for part in around if part is not None))
    return {step: fmean(values) for step, values in found.items()}
