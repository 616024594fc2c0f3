"""Acceptance traces in both forms: Parquet with the metadata in the file, or CSV and JSONL with it beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import MORE_OF_A_ROUND, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.errors import InputError, Problem, TraceError
from dsd_plan.files.columns import ROUNDS, TOKENS
from dsd_plan.files.reading import FileText, json_of, read_file
from dsd_plan.files.tables import RawTable, arrays_of, open_table, parquet_bytes
from dsd_plan.files.values import shown
from dsd_plan.files.writing import write_whole

TEXT_KEYS = ("draft", "target", "tokenizer_hash", "proposal", "recorder", "version")
NUMBER_KEYS = ("temperature", "top_p", "candidates")
METADATA_KEYS = (*TEXT_KEYS, *NUMBER_KEYS)
"""Keys of the metadata, all text in Parquet; the numbers may be left out."""

PROPOSALS = ("argmax", "sampled")

Array = NDArray[Any]


def load_acceptance(path: str | Path) -> TokenTrace | RoundTrace:
    """Read an acceptance trace, ordered by request and position. Raises TraceError with every problem."""
    file = read_file(path, TraceError)
    return acceptance_of(file, sidecar_of(file))


def sidecar_of(file: FileText) -> FileText | None:
    """The metadata beside a CSV or JSONL file, `<file>.meta.json`; None for Parquet, which holds its own."""
    if file.path.suffix.lower() == ".parquet":
        return None
    beside = file.path.with_name(f"{file.path.name}.meta.json")
    if not beside.exists():
        keys = ", ".join(TEXT_KEYS)
        raise TraceError(
            file.name,
            f"its metadata is missing; write {beside.name} beside it: a JSON table with {keys} and temperature",
        )
    return read_file(beside, TraceError, f"{file.name}.meta.json")


def acceptance_of(file: FileText, sidecar: FileText | None) -> TokenTrace | RoundTrace:
    """`load_acceptance` for files that have been read."""
    table = open_table(file)
    if "arrival_s" in table.columns:
        raise TraceError(file.name, "is a workload trace (arrival_s), expected an acceptance trace")
    metadata: TraceMetadata | None = None
    problems: list[Problem] = []
    try:
        where = file.name if sidecar is None else sidecar.name
        raw = table.metadata or {} if sidecar is None else json_of(sidecar, TraceError)
        metadata = _metadata(raw, where, strict=sidecar is not None)
    except InputError as failure:
        problems += failure.problems
    try:
        trace = trace_of(table, metadata or _UNKNOWN)
    except InputError as failure:
        problems += failure.problems
    else:
        if metadata is not None:
            return trace
    raise TraceError(file.name, problems)


def write_acceptance(path: str | Path, trace: TokenTrace | RoundTrace) -> None:
    """Write a trace as Parquet that `load_acceptance` gives back as it is. Raises TraceError for another ending."""
    if Path(path).suffix.lower() != ".parquet":
        raise TraceError(str(path), "traces are written as Parquet; let the name end in .parquet")
    index = _index_in_request(trace.request_id)
    columns: dict[str, Array | None] = {"request_id": trace.request_id}
    if isinstance(trace, TokenTrace):
        columns |= {"position": index, "match": trace.match, "confidence": trace.confidence, "task": trace.task}
        columns |= {"context_tokens": trace.context_tokens}
    else:
        columns |= {"round": index, "proposed": trace.proposed, "accepted": trace.accepted, "task": trace.task}
        columns |= {name: getattr(trace, name) for name in MORE_OF_A_ROUND}
    metadata = {key: getattr(trace.metadata, key) for key in METADATA_KEYS}
    write_whole(
        path,
        parquet_bytes(
            {name: values for name, values in columns.items() if values is not None},
            {key: str(value) for key, value in metadata.items() if value is not None},
        ),
    )


def trace_of(table: RawTable, metadata: TraceMetadata) -> TokenTrace | RoundTrace:
    """A table of either form as a trace with this metadata. Raises TraceError with every problem."""
    tokens = "match" in table.columns
    rounds = "proposed" in table.columns or "accepted" in table.columns
    if tokens == rounds:
        found = "both" if tokens else "neither"
        raise TraceError(
            table.name,
            f"has columns of {found} form; expected request_id, position, match (tokens) "
            "or request_id, round, proposed, accepted (rounds)",
        )
    columns = arrays_of(table, TOKENS if tokens else ROUNDS)
    columns = _in_order(columns, "position" if tokens else "round", table.name)
    if metadata.temperature is None and "temperature" in columns:
        temperature = float(columns["temperature"][0])
        metadata = replace(metadata, temperature=temperature)
    if tokens:
        return TokenTrace(
            metadata=metadata,
            request_id=columns["request_id"],
            match=columns["match"].astype(np.uint8),
            task=columns.get("task"),
            confidence=columns.get("confidence"),
            context_tokens=columns.get("context_tokens"),
        )
    proposed, accepted = columns["proposed"], columns["accepted"]
    over = np.flatnonzero(accepted > proposed)
    if over.size:
        row = int(over[0])
        raise TraceError(
            table.name,
            [
                Problem(
                    'column "accepted"',
                    f"request {columns['request_id'][row]}, round {columns['round'][row]}: accepted {accepted[row]} of "
                    f"{proposed[row]} proposed ({over.size} such rows); correct it",
                )
            ],
        )
    more = {name: columns[name] for name in MORE_OF_A_ROUND if name in columns}
    return RoundTrace(metadata, columns["request_id"], proposed, accepted, columns.get("task"), **more)


def _in_order(columns: Mapping[str, Array], index: str, name: str) -> dict[str, Array]:
    """Rows by request, in the order in which requests appear, and by index, which counts 0, 1, 2, … in each."""
    ids = columns["request_id"]
    _, first, group = np.unique(ids, return_index=True, return_inverse=True)
    appearance = np.argsort(np.argsort(first, kind="stable"), kind="stable")[group]
    order = np.lexsort((columns[index], appearance))
    ordered = {key: values[order] for key, values in columns.items()}
    counted = _index_in_request(appearance[order])
    wrong = np.flatnonzero(ordered[index] != counted)
    if wrong.size:
        row = int(wrong[0])
        raise TraceError(
            name,
            [
                Problem(
                    f'column "{index}"',
                    f"request {ordered['request_id'][row]}: found {ordered[index][row]} where {counted[row]} is due; "
                    f"expected 0, 1, 2, … once each in every request",
                )
            ],
        )
    if ordered["request_id"].dtype.kind == "U":
        ordered["request_id"] = appearance[order].astype(np.int64)
    return ordered


def _index_in_request(request_id: Array) -> NDArray[np.int64]:
    """0, 1, 2, … in every run of equal ids."""
    rows = np.arange(request_id.size, dtype=np.int64)
    starts = np.concatenate([[True], request_id[1:] != request_id[:-1]])
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def _metadata(raw: Mapping[str, Any], name: str, *, strict: bool) -> TraceMetadata:
    """Metadata from a table of texts. Raises TraceError with everything that is missing or wrong.

    Programs leave keys of their own in a Parquet file; in a file written for us (`strict`) they are mistakes.
    """
    unknown = [key for key in raw if strict and key not in METADATA_KEYS]
    problems = [
        Problem(f"metadata {shown(key)[:70]}", f"unknown; known here: {', '.join(METADATA_KEYS)}") for key in unknown
    ]
    for key in TEXT_KEYS:
        value = raw.get(key)
        if not isinstance(value, str) or not value or not value.isprintable():
            found = "missing" if key not in raw else f"found {shown(value)}"
            problems.append(Problem(f'metadata "{key}"', f"{found}, expected text"))
    if isinstance(raw.get("proposal"), str) and raw["proposal"] not in PROPOSALS:
        problems.append(
            Problem('metadata "proposal"', f'found {shown(raw["proposal"])}, expected "argmax" or "sampled"')
        )
    numbers: dict[str, Any] = {key: _number(raw[key]) for key in NUMBER_KEYS if raw.get(key) is not None}
    for key, found in numbers.items():
        if not _IN_RANGE[key][0](found):
            problems.append(Problem(f'metadata "{key}"', f"found {shown(raw[key])}, expected {_IN_RANGE[key][1]}"))
    if problems:
        raise TraceError(name, problems)
    if "candidates" in numbers:
        numbers["candidates"] = int(numbers["candidates"])
    return TraceMetadata(**{key: raw[key] for key in TEXT_KEYS}, **numbers)


_IN_RANGE: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda value: math.isfinite(value) and value >= 0, "a number, 0 or more"),
    "top_p": (lambda value: 0 < value <= 1, "a number above 0, at most 1"),
    "candidates": (lambda value: value >= 1 and value.is_integer(), "a whole number, 1 or more"),
}


def _number(value: Any) -> float:
    """The value as a number; NaN where it is none."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


_UNKNOWN = TraceMetadata("", "", "", "argmax", "", "")
