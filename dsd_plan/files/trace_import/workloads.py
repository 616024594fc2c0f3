"""Published workload traces in tables: Azure, BurstGPT, Mooncake, DSD-Sim, splitwise, ShareGPT-like lengths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsd_plan.errors import TraceError
from dsd_plan.files.trace_import.requests import guarded, imported_requests, nanoseconds_of, scan
from dsd_plan.files.trace_import.source import Imported, ImportOptions

if TYPE_CHECKING:
    import polars as pl

MOONCAKE_BLOCK_TOKENS = 512
"""Tokens behind one hash id (Mooncake, FAST '25)."""


def read_azure(path: Path, options: ImportOptions) -> Imported:
    """Azure LLM inference traces of 2023 and 2024: TIMESTAMP, ContextTokens, GeneratedTokens."""
    import polars as pl

    frame = scan(path, ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), "azure").select(
        nanoseconds_of("TIMESTAMP").alias("arrival_s"),
        pl.col("ContextTokens").alias("prompt_tokens"),
        pl.col("GeneratedTokens").alias("output_tokens"),
    )
    return imported_requests(path, frame, ticks_per_s=1e9)


def read_burstgpt(path: Path, options: ImportOptions) -> Imported:
    """BurstGPT: Timestamp (s), Model, Request and Response tokens, Log Type; `--group` picks a model or log type."""
    import polars as pl

    frame = scan(path, ("Timestamp", "Model", "Request tokens", "Response tokens", "Log Type"), "burstgpt")
    notes = []
    if options.group is not None:
        frame = frame.filter((pl.col("Model") == options.group) | (pl.col("Log Type") == options.group))
        notes.append(f"only rows whose Model or Log Type is {options.group}")
    columns = [
        pl.col("Timestamp").cast(pl.Float64, strict=False).alias("arrival_s"),
        pl.col("Request tokens").cast(pl.Int64, strict=False).alias("prompt_tokens"),
        pl.col("Response tokens").cast(pl.Int64, strict=False).alias("output_tokens"),
    ]
    return imported_requests(path, frame.select(columns), notes)


def read_mooncake(path: Path, options: ImportOptions) -> Imported:
    """Mooncake: timestamp (ms), input_length, output_length, hash_ids (blocks of 512 prompt tokens).

    `cached_prefix_tokens` are those of the leading blocks that an earlier request had: what a cache that never
    forgets would hold. The last block may be partial, and one token of a prompt is always computed.
    """
    import polars as pl

    frame = scan(path, ("timestamp", "input_length", "output_length"), "mooncake")
    columns = [
        (pl.col("timestamp") / 1000.0).alias("arrival_s"),
        pl.col("input_length").alias("prompt_tokens"),
        pl.col("output_length").alias("output_tokens"),
    ]
    notes = []
    if "hash_ids" in frame.collect_schema().names():
        table = guarded(path, lambda: frame.select("input_length", "hash_ids").collect())
        cached = _cached_prefixes(table)
        share = float(cached.sum() / max(int(table["input_length"].sum()), 1))
        notes.append(f"{share:.1%} of all prompt tokens were seen before, in a cache that never forgets")
        frame = frame.with_columns(pl.Series("cached_prefix_tokens", cached))
        columns.append(pl.col("cached_prefix_tokens"))
    return imported_requests(path, frame.select(columns), notes)


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
    import polars as pl

    frame = scan(path, ("arrival_ms", "prompt_tokens", "target_tokens"), "dsd-sim").select(
        (pl.col("arrival_ms") / 1000.0).alias("arrival_s"),
        pl.col("prompt_tokens"),
        pl.col("target_tokens").alias("output_tokens"),
    )
    return imported_requests(path, frame)


def read_splitwise(path: Path, options: ImportOptions) -> Imported:
    """splitwise-sim traces: arrival_timestamp (s), prompt_size, token_size."""
    import polars as pl

    frame = scan(path, ("arrival_timestamp", "prompt_size", "token_size"), "splitwise").select(
        pl.col("arrival_timestamp").cast(pl.Float64).alias("arrival_s"),
        pl.col("prompt_size").alias("prompt_tokens"),
        pl.col("token_size").alias("output_tokens"),
    )
    return imported_requests(path, frame)


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
    columns = [
        pl.Series("arrival_s", arrival_s),
        pl.col("prompt_len").alias("prompt_tokens"),
        pl.col("output_len").alias("output_tokens"),
    ]
    note = f"arrivals are made up: Poisson, {options.rate_per_s:g} a second, seed {options.seed}"
    return imported_requests(path, frame.select(columns), [note])
