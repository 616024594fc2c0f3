"""Logs that a serving team has: results of `vllm bench serve`, access logs with usage, tables of requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.present_system import PresentSystem
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.columns import REQUESTS
from dsd_plan.files.trace_import import ImportOptions, Kind, import_trace
from dsd_plan.files.trace_import.requests import REQUIRED, guarded, imported_requests, number_of, scan
from dsd_plan.files.trace_import.source import documents, refuse, tables_with

if TYPE_CHECKING:
    import polars as pl

Array = NDArray[np.float64]

TABLES = (".csv", ".parquet")
BENCH_KEYS = ("input_lens", "output_lens")
TIMES = ("created", "timestamp", "start_time", "time", "ts")
"""Names under which access logs keep when a request came, in order of trust."""
LATENCIES = {
    "ttft_ms": ("ttft", 1.0),
    "ttft_s": ("ttft", 1000.0),
    "tpot_ms": ("tpot", 1.0),
    "e2e_ms": ("e2e", 1.0),
    "latency_ms": ("e2e", 1.0),
    "duration_ms": ("e2e", 1.0),
    "e2e_s": ("e2e", 1000.0),
    "latency_s": ("e2e", 1000.0),
    "duration_s": ("e2e", 1000.0),
}
"""Only names that tell their unit."""


@dataclass(frozen=True, slots=True, eq=False)
class ServingLogs:
    """What logs tell, and their requests as a trace in our columns; no trace where arrival times are not told."""

    seen: PresentSystem
    requests: pl.LazyFrame | None


def read_serving_logs(
    paths: Sequence[Path], kind: Kind | None, model: str | None, options: ImportOptions | None = None
) -> ServingLogs:
    """Read logs, of a kind that `trace import` knows or by what is in them.

    Raises TraceError with every problem, and naming the models where a log holds several and none is chosen.
    """
    names = ", ".join(path.name for path in paths)
    first = paths[0]
    if kind is None and first.suffix.lower() in TABLES:
        _alone(paths, "of a table")
        return _table(first, names, model)
    if kind is not None:
        _alone(paths, f"of kind {kind.name}")
        imported = import_trace(first, kind, options or ImportOptions())
        return _of_frame(imported.trace, names, imported.notes, {}, model)
    if first.suffix.lower() == ".json":
        found = [value for _, value in documents(first)]
        if isinstance(found[0], dict) and all(isinstance(found[0].get(key), list) for key in BENCH_KEYS):
            _alone(paths, "of a benchmark")
            return _bench(first, found[0], model)
    return _access_logs(paths, names, model)


def _alone(paths: Sequence[Path], what: str) -> None:
    if len(paths) > 1:
        raise TraceError(
            str(paths[1]), f"is a second file {what}, whose times do not continue the first's; give one file"
        )


def _of_frame(
    frame: Any, names: str, notes: Sequence[str], latencies: Mapping[str, Array], model: str | None
) -> ServingLogs:
    """Means of a frame of requests, taken without holding it."""
    import polars as pl

    has_cache = "cached_prefix_tokens" in frame.collect_schema().names()
    sums = [
        pl.len().alias("requests"),
        (pl.col("arrival_s").max() - pl.col("arrival_s").min()).alias("span_s"),
        pl.col("prompt_tokens").mean().alias("prompt"),
        pl.col("output_tokens").mean().alias("output"),
        pl.col("prompt_tokens").sum().alias("prompt_sum"),
    ]
    if has_cache:
        sums.append(pl.col("cached_prefix_tokens").sum().alias("cached"))
    told = guarded(Path(names), lambda: frame.select(sums).collect(engine="streaming")).row(0, named=True)
    if told["requests"] < 2 or not told["span_s"] > 0:
        raise TraceError(names, "needs requests at two different times, to tell a rate; give a longer log")
    seen = PresentSystem(
        source=f"{names}, {told['requests']:,} requests",
        rate_per_s=(told["requests"] - 1) / told["span_s"],
        prompt_tokens=told["prompt"],
        output_tokens=told["output"],
        requests=told["requests"],
        cached_share=told["cached"] / told["prompt_sum"] if has_cache else None,
        model=model,
        notes=tuple(notes),
    )
    return ServingLogs(_with_latencies(seen, latencies), frame)


def _with_latencies(seen: PresentSystem, latencies: Mapping[str, Array]) -> PresentSystem:
    """Quantiles, and by Little's law the requests in service. `prefill` is ms a prompt token, before its tenth."""
    told = {f"{name}_ms": quantiles(latencies[name]) for name in ("ttft", "tpot", "itl", "e2e") if name in latencies}
    prefill = latencies.get("prefill")
    known = prefill[np.isfinite(prefill) & (prefill > 0)] if prefill is not None else np.zeros(0)
    e2e = latencies.get("e2e")
    mean_e2e_ms = float(np.nanmean(e2e)) if e2e is not None and np.isfinite(e2e).any() else None
    return replace(
        seen,
        **told,  # type: ignore[arg-type]
        prefill_ms_per_token=float(np.quantile(known, 0.1)) if known.size else None,
        running=None if mean_e2e_ms is None else seen.rate_per_s * mean_e2e_ms / 1000.0,
    )


def quantiles(values_ms: Array) -> Quantiles:
    """Of those that are known."""
    known = values_ms[np.isfinite(values_ms)]
    if not known.size:
        return Quantiles()
    p50, p95, p99 = np.quantile(known, (0.5, 0.95, 0.99)).tolist()
    return Quantiles(mean=float(known.mean()), p50=p50, p95=p95, p99=p99)


def _prefill(ttft_ms: Array, step_ms: Array, prompt: Array, cached: Array) -> Array:
    """Of each request: what is left of its TTFT after one step, by prompt token computed."""
    left: Array = (ttft_ms - step_ms) / np.maximum(prompt - cached, 1.0)
    return left


def _table(path: Path, names: str, model: str | None) -> ServingLogs:
    """A table of requests in our columns, with latencies beside them where they are told."""
    import polars as pl

    try:
        frame = scan(path, REQUIRED, "requests-table")
    except TraceError as failure:
        found = failure.problems[0].text.partition("; is --from")[0]
        raise TraceError(str(path), f"{found}; --kind KIND reads other tables (dsd-plan trace import --list)") from None
    columns = frame.collect_schema().names()
    told = [name for name in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms") if name in columns]
    ours = [column.name for column in REQUESTS if column.name in columns]
    passed = [name for name in columns if name not in (*told, *ours)]
    notes = [f"columns that are not read: {', '.join(passed)}"] if passed else []
    latencies: dict[str, Array] = {}
    if told:
        wanted = [*told, "prompt_tokens", *(name for name in ("cached_prefix_tokens",) if name in columns)]
        casts = [pl.col(name).cast(pl.Float64, strict=False).fill_null(float("nan")) for name in wanted]
        table = guarded(path, lambda: frame.filter(number_of("output_tokens") > 0).select(casts).collect())
        latencies = {name.removesuffix("_ms"): table[name].to_numpy() for name in told}
        if {"ttft", "tpot"} <= latencies.keys():
            prompt = table["prompt_tokens"].to_numpy()
            cached = table[wanted[-1]].to_numpy() if wanted[-1] == "cached_prefix_tokens" else np.zeros(prompt.size)
            latencies["prefill"] = _prefill(latencies["ttft"], latencies["tpot"], prompt, cached)
    imported = imported_requests(path, frame, further=[name for name in ours if name not in REQUIRED], notes=notes)
    return _of_frame(imported.trace, names, imported.notes, latencies, model)


def _bench(path: Path, body: dict[str, Any], model: str | None) -> ServingLogs:
    """`vllm bench serve --save-detailed`: parallel lists; `ttfts` and `itls` in seconds."""
    prompt, output = (_numbers(path, body, key) for key in BENCH_KEYS)
    columns = {key: _numbers(path, body, key) for key in ("start_times", "ttfts") if isinstance(body.get(key), list)}
    problems = [
        Problem(key, f"found {values.size} values, expected {prompt.size}, one a request as in input_lens")
        for key, values in {"output_lens": output, **columns}.items()
        if values.size != prompt.size
    ]
    itls = body.get("itls")
    if itls is not None and (not isinstance(itls, list) or len(itls) != prompt.size):
        problems.append(Problem("itls", f"expected {prompt.size} lists, one a request as in input_lens"))
    refuse(path, problems)
    served = output > 0
    latencies: dict[str, Array] = {}
    if "ttfts" in columns:
        latencies["ttft"] = np.where(served, 1000.0 * columns["ttfts"], np.nan)
    if itls is not None:
        gaps = [np.asarray(row if served[at] else [], dtype=np.float64) * 1000.0 for at, row in enumerate(itls)]
        whole = np.array([row.sum() for row in gaps])
        latencies["itl"] = np.concatenate(gaps) if gaps else np.zeros(0)
        # An answer of one token has no gap; a chunk may bring several tokens, so the tokens divide, not the gaps.
        many = np.array([row.size > 0 for row in gaps]) & (output > 1)
        latencies["tpot"] = np.where(many, whole / np.maximum(output - 1.0, 1.0), np.nan)
        if "ttft" in latencies:
            latencies["e2e"] = latencies["ttft"] + whole
            mean_tpot = float(np.nanmean(latencies["tpot"])) if many.any() else 0.0
            latencies["prefill"] = _prefill(latencies["ttft"], np.full(prompt.size, mean_tpot), prompt, np.zeros(1))
    told = model or body.get("model_id")
    name = told if isinstance(told, str) else None
    if "start_times" in columns:
        frame = _frame(columns["start_times"], prompt, output)
        imported = imported_requests(path, frame)
        notes = [*imported.notes]
        if body.get("max_concurrency"):
            notes.append(
                f"the benchmark kept at most {body['max_concurrency']} requests open; a replay keeps its times"
            )
        return _of_frame(imported.trace, path.name, notes, latencies, name)
    duration_s = body.get("duration")
    if not isinstance(duration_s, int | float) or duration_s <= 0 or not served.any():
        raise TraceError(
            str(path), "has neither start_times nor a duration; save it with --save-result --save-detailed"
        )
    seen = PresentSystem(
        source=f"{path.name}, {int(served.sum()):,} requests",
        rate_per_s=float(served.sum() / duration_s),
        prompt_tokens=float(prompt[served].mean()),
        output_tokens=float(output[served].mean()),
        requests=int(served.sum()),
        model=name,
        notes=("no start_times (older vLLM): arrivals are Poisson at the mean rate, lengths are the means",),
    )
    return ServingLogs(_with_latencies(seen, latencies), None)


def _numbers(path: Path, body: dict[str, Any], key: str) -> Array:
    values = body[key]
    for at, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TraceError(str(path), f"{key}[{at}]: found {json.dumps(value)[:60]}, expected a number")
    return np.asarray(values, dtype=np.float64)


def _frame(arrival_s: Array, prompt: Array, output: Array, cached: Array | None = None) -> pl.LazyFrame:
    import polars as pl

    columns = {
        "arrival_s": arrival_s,
        "prompt_tokens": prompt.astype(np.int64),
        "output_tokens": output.astype(np.int64),
    }
    if cached is not None:
        columns["cached_prefix_tokens"] = cached.astype(np.int64)
    return pl.DataFrame(columns).lazy()


@dataclass(slots=True)
class _Row:
    at_s: float
    prompt: int
    output: int
    cached: int | None
    model: str | None
    latency_ms: dict[str, float]


def _access_logs(paths: Sequence[Path], names: str, model: str | None) -> ServingLogs:
    """Records with `usage` and a time, as OpenAI-like responses have them; streamed parts without usage are passed."""
    rows: list[_Row] = []
    for path in paths:
        problems: list[Problem] = []
        for place, value in documents(path):
            for inner, table in tables_with(value, "usage", place):
                if isinstance(table["usage"], dict):
                    row = _row(table, value, inner, problems)
                    rows += [row] if row is not None else []
        refuse(path, problems)
    if not rows:
        raise TraceError(
            names,
            "holds no requests: expected JSON of vllm bench serve, JSONL with usage and created (or timestamp), or "
            "a table with arrival_s, prompt_tokens, output_tokens; --kind KIND reads others (trace import --list)",
        )
    models = sorted({row.model for row in rows if row.model is not None})
    if model in models:
        rows = [row for row in rows if row.model == model]
    elif len(models) > 1 or (model is not None and models):
        raise TraceError(names, f"holds requests to {', '.join(models)}; say --model with one of them")
    prompt, output, at_s = (
        np.array([getattr(row, key) for row in rows], dtype=np.float64) for key in ("prompt", "output", "at_s")
    )
    told_cache = any(row.cached is not None for row in rows)
    # One token of a prompt is always computed.
    cached = np.minimum(np.array([row.cached or 0 for row in rows], dtype=np.float64), np.maximum(prompt - 1, 0))
    latencies = {
        name: np.array([row.latency_ms.get(name, np.nan) for row in rows])
        for name in ("ttft", "tpot", "e2e")
        if any(name in row.latency_ms for row in rows)
    }
    if {"ttft", "e2e"} <= latencies.keys() and "tpot" not in latencies:
        gaps = np.where(output > 1, output - 1.0, np.nan)
        latencies["tpot"] = (latencies["e2e"] - latencies["ttft"]) / gaps
    if {"ttft", "tpot"} <= latencies.keys():
        latencies["prefill"] = _prefill(latencies["ttft"], latencies["tpot"], prompt, cached)
    frame = _frame(at_s, prompt, output, cached if told_cache else None)
    imported = imported_requests(paths[0], frame, further=("cached_prefix_tokens",) if told_cache else ())
    notes = [*imported.notes]
    if bool(np.all(at_s == np.floor(at_s))):
        notes.append("times are whole seconds: bursts below a second cannot be seen")
    return _of_frame(imported.trace, names, notes, latencies, model or (models[0] if models else None))


def _row(table: dict[str, Any], outer: Any, place: str, problems: list[Problem]) -> _Row | None:
    usage = table["usage"]
    fields = {**(outer if isinstance(outer, dict) else {}), **table}
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    for key, value in (("prompt_tokens", prompt), ("completion_tokens", output)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            problems.append(
                Problem(f"{place}: usage.{key}", f"found {json.dumps(value)[:60]}, expected a whole number")
            )
            return None
    when = next((name for name in TIMES if fields.get(name) is not None), None)
    at_s = None if when is None else _seconds(fields[when])
    if at_s is None:
        found = "none" if when is None else json.dumps(fields[when])[:60]
        problems.append(Problem(f"{place}: time", f"found {found}, expected one of {', '.join(TIMES)} (s, ms or ISO)"))
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    latency = {
        to: factor * value
        for name, (to, factor) in LATENCIES.items()
        if (value := _number(fields.get(name))) is not None
    }
    named = fields.get("model")
    return _Row(
        at_s,
        prompt,
        output,
        cached if isinstance(cached, int) and not isinstance(cached, bool) and cached >= 0 else None,
        named if isinstance(named, str) and named else None,
        latency,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any) -> float | None:
    """Seconds since 1970 of a number of seconds or milliseconds, or of an ISO date; UTC where it names no zone."""
    number = _number(value)
    if number is not None:
        return number / 1000.0 if number > 1e11 else number
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
