"""Published workload traces in tables: Azure, BurstGPT, Mooncake, DSD-Sim, splitwise, ShareGPT-like lengths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.reading import LARGEST_NUMBER
from dsd_plan.files.trace_import.requests import Taken, guarded, imported_requests, nanoseconds_of, number_of, scan
from dsd_plan.files.trace_import.source import Imported, ImportOptions

if TYPE_CHECKING:
    import polars as pl

MOONCAKE_BLOCK_TOKENS = 512
"""Tokens behind one hash id (Mooncake, FAST '25)."""


def read_azure(path: Path, options: ImportOptions) -> Imported:
    """Azure LLM inference traces of 2023 and 2024: TIMESTAMP, ContextTokens, GeneratedTokens."""
    taken = {
        "arrival_s": Taken("TIMESTAMP", nanoseconds_of("TIMESTAMP")),
        "prompt_tokens": Taken("ContextTokens"),
        "output_tokens": Taken("GeneratedTokens"),
    }
    frame = scan(path, [own.source for own in taken.values()], "azure")
    return imported_requests(path, frame, taken, ticks_per_s=1e9)


def read_burstgpt(path: Path, options: ImportOptions) -> Imported:
    """BurstGPT: Timestamp (s), Model, Request and Response tokens, Log Type; `--group` picks a model or log type."""
    import polars as pl

    frame = scan(path, ("Timestamp", "Model", "Request tokens", "Response tokens", "Log Type"), "burstgpt")
    notes = []
    if options.group is not None:
        frame = frame.filter((pl.col("Model") == options.group) | (pl.col("Log Type") == options.group))
        notes.append(f"only rows whose Model or Log Type is {options.group}")
    taken = {
        "arrival_s": Taken("Timestamp"),
        "prompt_tokens": Taken("Request tokens"),
        "output_tokens": Taken("Response tokens"),
    }
    return imported_requests(path, frame, taken, notes=notes)


def read_mooncake(path: Path, options: ImportOptions) -> Imported:
    """Mooncake: timestamp (ms), input_length, output_length, hash_ids (blocks of 512 prompt tokens).

    `cached_prefix_tokens` are those of the leading blocks that an earlier request had: what a cache that never
    forgets would hold. The last block may be partial, and one token of a prompt is always computed.
    """
    import polars as pl

    frame = scan(path, ("timestamp", "input_length", "output_length"), "mooncake")
    taken = {
        "arrival_s": Taken("timestamp", number_of("timestamp") / 1000.0),
        "prompt_tokens": Taken("input_length"),
        "output_tokens": Taken("output_length"),
    }
    kind = frame.collect_schema().get("hash_ids")
    if kind is None:
        return imported_requests(path, frame, taken)
    if not isinstance(kind, pl.List):
        raise TraceError(str(path), [Problem('column "hash_ids"', "expected a list of block numbers in every row")])
    # What is no number is refused with its row by the check of all columns.
    prompts = number_of("input_length").fill_nan(0).fill_null(0).clip(0, LARGEST_NUMBER).cast(pl.Int64)
    table = guarded(path, lambda: frame.select(prompts, "hash_ids").collect())
    cached = _cached_prefixes(table)
    share = float(cached.sum() / max(int(table["input_length"].sum()), 1))
    note = f"{share:.1%} of all prompt tokens were seen before, in a cache that never forgets"
    frame = frame.with_columns(pl.Series("cached_prefix_tokens", cached))
    return imported_requests(path, frame, taken, further=("cached_prefix_tokens",), notes=[note])


def _cached_prefixes(table: pl.DataFrame) -> np.ndarray:
    seen: set[int] = set()
    cached = np.zeros(table.height, dtype=np.int64)
    for row, (prompt, blocks) in enumerate(table.iter_rows()):
        hits = 0
        for block in blocks or ():
            if block not in seen:
                break
            hits += 1
        seen.update(blocks or ())
        cached[row] = max(min(hits * MOONCAKE_BLOCK_TOKENS, prompt - 1), 0)
    return cached


def read_dsd_sim(path: Path, options: ImportOptions) -> Imported:
    """DSD-Sim: arrival_ms, prompt_tokens, target_tokens."""
    taken = {
        "arrival_s": Taken("arrival_ms", number_of("arrival_ms") / 1000.0),
        "prompt_tokens": Taken("prompt_tokens"),
        "output_tokens": Taken("target_tokens"),
    }
    return imported_requests(path, scan(path, [own.source for own in taken.values()], "dsd-sim"), taken)


def read_splitwise(path: Path, options: ImportOptions) -> Imported:
    """splitwise-sim traces: arrival_timestamp (s), prompt_size, token_size."""
    taken = {
        "arrival_s": Taken("arrival_timestamp"),
        "prompt_tokens": Taken("prompt_size"),
        "output_tokens": Taken("token_size"),
    }
    return imported_requests(path, scan(path, [own.source for own in taken.values()], "splitwise"), taken)


def read_engine_run(path: Path, options: ImportOptions) -> Imported:
    """A run of an engine, request by request, as LLMServingSim logs it: arrival_time (s), input_toks, output_toks."""
    taken = {
        "arrival_s": Taken("arrival_time"),
        "prompt_tokens": Taken("input_toks"),
        "output_tokens": Taken("output_toks"),
    }
    return imported_requests(path, scan(path, [own.source for own in taken.values()], "engine-run"), taken)


def read_lengths(path: Path, options: ImportOptions) -> Imported:
    """Lengths without times, as samplers of ShareGPT write them: `prompt_len` and `output_len`, a row a request.

    Arrivals are Poisson at `--rate-per-s`, which is not the source's doing and is noted.
    """
    import polars as pl

    if options.rate_per_s is None:
        raise TraceError(str(path), "--rate-per-s: the source has lengths and no times; say at which rate they arrive")
    frame = scan(path, ("prompt_len", "output_len"), "lengths")
    rows = guarded(path, lambda: frame.select(pl.len()).collect()).item()
    arrival_s = np.cumsum(np.random.default_rng(options.seed).exponential(1.0 / options.rate_per_s, rows))
    frame = frame.with_columns(pl.Series("arrival_s", arrival_s))
    taken = {
        "arrival_s": Taken("arrival_s"),
        "prompt_tokens": Taken("prompt_len"),
        "output_tokens": Taken("output_len"),
    }
    note = f"arrivals are made up: Poisson, {options.rate_per_s:g} a second, seed {options.seed}"
    return imported_requests(path, frame, taken, notes=[note])
