"""ServeGen (Alibaba): a generator, client by client, not a log. A trace is a sample of it.

A folder holds, for each client, `chunk-N-trace.csv` (start of a window in s, rate, CV, law of the gaps and its two
parameters) and `chunk-N-dataset.json` (from which time on which histograms of lengths hold). Checked against
three clients of data/reason/deepseek-r1 at f891d11.
"""

from __future__ import annotations

import ast
import csv
from dataclasses import dataclass
from math import gamma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.reading import json_of, read_file, text_of
from dsd_plan.files.trace_import.requests import OWN, imported_requests
from dsd_plan.files.trace_import.source import Imported, ImportOptions, refuse

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Window:
    """One client, from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    rate_per_s: float
    law: str
    shape: float


@dataclass(frozen=True, slots=True, eq=False)
class _Lengths:
    """Histograms that hold from `start_s` on."""

    start_s: float
    prompts: tuple[Array, Array]
    outputs: tuple[Array, Array]


def read(path: Path, options: ImportOptions) -> Imported:
    """Sample every client of a folder for `--span-s` (a day unless said), seeded.

    Gaps keep the law and the shape of their window; time runs at the window's rate, so that the mean rate is the
    source's and a gap may reach over a window's end.
    """
    import polars as pl

    folder = path if path.is_dir() else path.parent
    traces = sorted(folder.glob("chunk-*-trace.csv"), key=lambda at: int(at.stem.split("-")[1]))
    if not traces:
        raise TraceError(str(path), "holds no chunk-N-trace.csv; name ServeGen's folder of one model")
    span_s = 86_400.0 if options.span_s is None else options.span_s
    clients = [(at.stem.split("-")[1], _windows(at), _lengths(at)) for at in traces]
    last_s = max(window.end_s for _, windows, _ in clients for window in windows)
    if span_s > last_s:
        raise TraceError(str(path), f"--span-s {span_s:g}: the source describes {last_s:g} s; ask for no more")
    generators = np.random.default_rng(options.seed).spawn(len(clients))
    parts = []
    for (name, windows, lengths), rng in zip(clients, generators, strict=True):
        at_s = _arrivals(windows, span_s, rng)
        if at_s.size and not lengths:
            raise TraceError(str(path), f"client {name} has requests and no histogram of lengths")
        prompts, outputs = _drawn(at_s, lengths, rng)
        parts.append(
            pl.DataFrame(
                {
                    "arrival_s": at_s,
                    "prompt_tokens": prompts,
                    "output_tokens": outputs,
                    "user": pl.Series([f"client-{name}"] * at_s.size, dtype=pl.String),
                }
            )
        )
    frame = pl.concat(parts).sort("arrival_s", maintain_order=True).lazy()
    note = f"a sample of {len(clients)} clients over {span_s:g} s, seed {options.seed}: the source is a generator"
    return imported_requests(path, frame, OWN, further=("user",), notes=[note])


def _windows(path: Path) -> list[_Window]:
    rows = [row for row in csv.reader(text_of(read_file(path, TraceError), TraceError).splitlines()) if row]
    problems: list[Problem] = []
    starts: list[float] = []
    for number, row in enumerate(rows, start=1):
        try:
            start_s, rate = float(row[0]), float(row[1])
            _ = (float(row[4]), float(row[5]))
            if len(row) != 6 or rate < 0 or row[3] not in ("", "Gamma", "Weibull", "Exponential", "Expon"):
                raise ValueError
            starts.append(start_s)
        except (ValueError, IndexError):
            text = f"found {','.join(row)[:80]}, expected start, rate, CV, Gamma|Weibull, shape, scale"
            problems.append(Problem(f"line {number}", text))
    refuse(path, problems)
    step = starts[1] - starts[0] if len(starts) > 1 else 600.0
    ends = [*starts[1:], starts[-1] + step]
    return [
        _Window(start, end, float(row[1]), row[3], float(row[4]))
        for start, end, row in zip(starts, ends, rows, strict=True)
    ]


def _lengths(trace: Path) -> list[_Lengths]:
    path = trace.with_name(trace.name.replace("-trace.csv", "-dataset.json"))
    raw = json_of(read_file(path, TraceError), TraceError)
    found = []
    for start, fields in raw.items():
        histograms = [_histogram(path, start, fields, name) for name in ("input_tokens", "output_tokens")]
        if histograms[0] is not None and histograms[1] is not None:
            found.append(_Lengths(float(start), histograms[0], histograms[1]))
    return sorted(found, key=lambda lengths: lengths.start_s)


def _histogram(path: Path, start: str, fields: object, name: str) -> tuple[Array, Array] | None:
    """Lengths and their shares; None where the window is empty. The source writes a Python dict as text."""
    try:
        told = ast.literal_eval(fields[name])  # type: ignore[index]
        values = np.array([float(value) for value in told])
        shares = np.array([float(share) for share in told.values()])
    except (ValueError, SyntaxError, KeyError, TypeError, AttributeError):
        raise TraceError(str(path), f'"{start}".{name}: expected a text such as "{{12: 0.5, 13: 0.5}}"') from None
    if not values.size:
        return None
    if shares.min() < 0 or abs(shares.sum() - 1) > 1e-3:
        raise TraceError(str(path), f'"{start}".{name}: shares sum to {shares.sum():g}, expected 1')
    return values, shares / shares.sum()


def _arrivals(windows: list[_Window], span_s: float, rng: np.random.Generator) -> Array:
    """Times of one client: gaps of mean 1 in the window's law, on a clock that runs at the window's rate."""
    found: list[float] = []
    due = None
    for window in windows:
        if window.start_s >= span_s:
            break
        if window.rate_per_s == 0.0 or not window.law:
            continue
        at_s, end_s = window.start_s, min(window.end_s, span_s)
        while True:
            if due is None:
                # The first gap is met somewhere inside, not at its start.
                due = _gap(window, rng) * (rng.random() if not found else 1.0)
            step_s = due / window.rate_per_s
            if at_s + step_s >= end_s:
                due -= (end_s - at_s) * window.rate_per_s
                break
            at_s += step_s
            found.append(at_s)
            due = None
    return np.array(found)


def _gap(window: _Window, rng: np.random.Generator) -> float:
    if window.law == "Gamma":
        return float(rng.gamma(window.shape, 1.0 / window.shape))
    if window.law == "Weibull":
        return float(rng.weibull(window.shape) / gamma(1.0 + 1.0 / window.shape))
    return float(rng.exponential())


def _drawn(
    at_s: Array, lengths: list[_Lengths], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A prompt and an output for each arrival, from the histograms that hold at its time."""
    prompts, outputs = np.ones(at_s.size, dtype=np.int64), np.ones(at_s.size, dtype=np.int64)
    starts = np.array([part.start_s for part in lengths])
    part_of = np.maximum(np.searchsorted(starts, at_s, side="right") - 1, 0)
    for index, part in enumerate(lengths):
        here = part_of == index
        count = int(np.count_nonzero(here))
        for into, (values, shares) in ((prompts, part.prompts), (outputs, part.outputs)):
            into[here] = np.maximum(np.rint(rng.choice(values, count, p=shares)), 1).astype(np.int64)
    return prompts, outputs
