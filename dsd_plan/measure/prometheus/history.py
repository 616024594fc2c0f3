"""The history of a serving engine in Prometheus: rates, lengths, latencies and cache hits, interval by interval.

Rates come from `increase()`, which knows a counter that was set back; quantiles from the differences of buckets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dsd_plan import __version__
from dsd_plan.domain.acceptance import AcceptanceCounts, TraceMetadata
from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.present_system import Hour, PresentSystem
from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.endpoint.metrics_page import ACCEPTED_AT, COUNTED
from dsd_plan.measure.prometheus.server import Asked, Prometheus, Series

ENGINES = ("vllm", "sglang", "llamacpp")
ANCHORS: Mapping[str, tuple[str, ...]] = {
    "vllm": ("vllm:generation_tokens_total",),
    "sglang": ("sglang:generation_tokens_total",),
    "llamacpp": ("llamacpp:tokens_predicted_total",),
}
"""A counter that every server of an engine has: its label sets tell the models and the instances."""

COUNTERS: Mapping[str, tuple[str, ...]] = {
    "requests": ("vllm:request_success_total", "sglang:num_requests_total"),
    "prompt": COUNTED["server_prompt_tokens"],
    "output": COUNTED["server_generated_tokens"],
    "hits": COUNTED["prefix_hit_tokens"],
    "queried": COUNTED["prefix_queried_tokens"],
    "rounds": COUNTED["spec_rounds"],
    "accepted": COUNTED["spec_accepted_tokens"],
    "prompt_s": ("llamacpp:prompt_seconds_total",),
    "output_s": ("llamacpp:tokens_predicted_seconds_total",),
}
HISTOGRAMS: Mapping[str, tuple[str, ...]] = {
    "ttft": ("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds"),
    "tpot": ("vllm:request_time_per_output_token_seconds",),
    "itl": (
        *("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
        *("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
    ),
    "e2e": ("vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds"),
}
RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing")
ROUND_LENGTH = ("sglang:spec_accept_length",)


@dataclass(frozen=True, slots=True)
class History:
    """What was counted of one model in each interval."""

    engine: str
    model: str | None
    instances: int
    step_s: float
    counted: Mapping[str, Series]
    sums_s: Mapping[str, Series]
    """By latency, sums of a histogram; `counts` and `buckets` beside them."""
    counts: Mapping[str, Series]
    buckets: Mapping[str, Mapping[float, Series]]
    """By latency and upper bound in s."""
    running: Series
    accepted_at: Mapping[int, Series]
    round_length: Series


def read_history(server: Prometheus, asked: Asked) -> History:
    """Read one model's history. Raises MeasurementError, or InputError naming the models where one must be chosen."""
    names = _names(server)
    engine = _engine_asked(server, names, asked)
    label, model, instances = _chosen(server, engine, asked)
    selector = "" if label is None or model is None else f"{{{label}={_quoted(model)}}}"
    window = f"{asked.step_s:g}s"

    def summed(query: str) -> Series:
        return next((values for _, values in server.series(query, asked)), {})

    def grown(candidates: Sequence[str]) -> Series:
        name = next((name for name in candidates if name in names), None)
        return {} if name is None else summed(f"sum(increase({name}{selector}[{window}]))")

    def gauge(candidates: Sequence[str], how: str) -> Series:
        name = next((name for name in candidates if name in names), None)
        return {} if name is None else summed(f"{how}(avg_over_time({name}{selector}[{window}]))")

    def by(name: str, key: str) -> dict[str, Series]:
        found = server.series(f"sum by ({key}) (increase({name}{selector}[{window}]))", asked)
        return {labels[key]: values for labels, values in found if key in labels}

    latencies = {
        key: name
        for key, candidates in HISTOGRAMS.items()
        if (name := next((name for name in candidates if f"{name}_count" in names), None)) is not None
    }
    positions = next((name for name in ACCEPTED_AT if name in names), None)
    history = History(
        engine=engine,
        model=model,
        instances=instances,
        step_s=asked.step_s,
        counted={key: grown(candidates) for key, candidates in COUNTERS.items()},
        sums_s={key: grown((f"{name}_sum",)) for key, name in latencies.items()},
        counts={key: grown((f"{name}_count",)) for key, name in latencies.items()},
        buckets={
            key: {float(bound): values for bound, values in by(f"{name}_bucket", "le").items()}
            for key, name in latencies.items()
        },
        running=gauge(RUNNING, "sum"),
        accepted_at={int(at): values for at, values in by(positions, "position").items() if at.isdecimal()}
        if positions
        else {},
        round_length=gauge(ROUND_LENGTH, "avg"),
    )
    if not any(value > 0 for value in history.counted["output"].values()):
        raise MeasurementError(
            f"Prometheus: {model or engine} generated no tokens in the last {asked.last_s / 3600.0:g} h; "
            "ask for a longer time with --last, or name another --model"
        )
    return history


def _names(server: Prometheus) -> set[str]:
    matcher = '{__name__=~"(vllm|sglang|llamacpp):.+"}'
    data = server.ask("label/__name__/values", {"match[]": matcher})
    return {name for name in data if isinstance(name, str)} if isinstance(data, list) else set()


def _engine_asked(server: Prometheus, names: set[str], asked: Asked) -> str:
    """The engine that is there, or of several the one that serves the model asked for."""
    there = [name for name in ENGINES if any(metric.startswith(f"{name}:") for metric in names)]
    if not there:
        raise MeasurementError(
            "Prometheus: it holds no metrics of vLLM, SGLang or llama-server (vllm:…, sglang:…, llamacpp:…); is it the "
            "Prometheus that scrapes them?"
        )
    if len(there) == 1:
        return there[0]
    serving = {
        name: {str(entry.get("model_name", entry.get("instance"))) for entry in _labels(server, name, asked)}
        for name in there
    }
    fitting = [name for name in there if asked.model in serving[name]]
    if len(fitting) == 1:
        return fitting[0]
    told = "; ".join(f"{_engine(name)}: {', '.join(sorted(models)) or 'none now'}" for name, models in serving.items())
    raise InputError("Prometheus", f"holds several engines ({told}); say --model with one that a single engine serves")


def _labels(server: Prometheus, engine: str, asked: Asked) -> list[dict[str, str]]:
    """Label sets of the counter that every server of an engine has."""
    window = {"start": f"{asked.end_s - asked.last_s:.3f}", "end": f"{asked.end_s:.3f}"}
    data = server.ask("series", {"match[]": ANCHORS[engine][0], **window})
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _chosen(server: Prometheus, engine: str, asked: Asked) -> tuple[str | None, str | None, int]:
    """The label that tells models apart, the model, and on how many instances it runs."""
    labels = _labels(server, engine, asked)
    if not labels:
        raise MeasurementError(
            f"Prometheus: it knows {ANCHORS[engine][0]}, but has no samples of it in the last "
            f"{asked.last_s / 3600.0:g} h; ask for a longer time with --last"
        )
    # llama-server names no model: one instance is one model.
    label = "model_name" if all("model_name" in entry for entry in labels) else "instance"
    models = sorted({str(entry.get(label, "")) for entry in labels} - {""})
    if asked.model is None and len(models) > 1:
        raise InputError("Prometheus", f"holds several models: {', '.join(models)}; say --model with one of them")
    if asked.model is not None and models and asked.model not in models:
        raise InputError(f"--model {asked.model}", f"no such model; Prometheus holds {', '.join(models)}")
    if not models:
        return None, None, 1
    model = asked.model or models[0]
    mine = [entry for entry in labels if entry.get(label) == model]
    return label, model, max(len({(entry.get("job"), entry.get("instance")) for entry in mine}), 1)


def _quoted(text: str) -> str:
    """A string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def present_system(history: History, asked: Asked) -> PresentSystem:
    """The busiest interval, or the mean of all. Raises InputError where requests or lengths are not counted."""
    output = history.counted["output"]
    requests = history.counted["requests"]
    notes: list[str] = []
    if not any(value > 0 for value in requests.values()):
        if asked.output_tokens is None:
            raise InputError(
                "--output-tokens", f"{history.engine} does not count its requests; say the mean tokens of an answer"
            )
        requests = {at: value / asked.output_tokens for at, value in output.items()}
        notes.append(f"guessed: requests are tokens generated / {asked.output_tokens:g}, from --output-tokens")
    times = sorted(at for at, value in requests.items() if value > 0)
    busiest = max(times, key=lambda at: requests[at])
    chosen = [busiest] if asked.plan_for == "busiest" else sorted(requests)
    total = _sum(requests, chosen)
    span_s = len(chosen) * history.step_s
    means = {key: _over(history.counted[key], chosen, total) for key in ("prompt", "output")}
    if not means["prompt"] or not means["output"]:
        raise MeasurementError(f"Prometheus: {history.engine} counts no prompt or generated tokens in that time")
    queried = _sum(history.counted["queried"], chosen) or _sum(history.counted["prompt"], chosen)
    hits = history.counted["hits"]
    mean_rate = _sum(requests, times) / (len(requests) * history.step_s)
    which = f"busiest interval, {_utc(busiest - history.step_s)}" if asked.plan_for == "busiest" else "mean"
    notes.append(
        f"measured: {len(requests)} intervals of {history.step_s:g} s, mean rate {mean_rate:.4g} a second, busiest "
        f"{requests[busiest] / history.step_s:.4g} a second ({_utc(busiest - history.step_s)}); all are in hours.csv"
    )
    latencies = {key: _quantiles(history, key, chosen) for key in HISTOGRAMS}
    if latencies["tpot"].mean is None and latencies["itl"].mean is not None:
        latencies["tpot"] = Quantiles(mean=latencies["itl"].mean)
        notes.append("TPOT is the mean gap between tokens: the engine keeps no histogram of TPOT by request")
    latencies["tpot"] = _llama_tpot(history, chosen) or latencies["tpot"]
    running = [history.running[at] for at in chosen if at in history.running]
    acceptance, length = _acceptance(history, sorted(output), asked)
    return PresentSystem(
        source=f"{_engine(history.engine)} metrics in Prometheus, {which}",
        rate_per_s=total / span_s,
        prompt_tokens=means["prompt"],
        output_tokens=means["output"],
        model=history.model,
        replicas=history.instances,
        requests=round(total),
        cached_share=min(_sum(hits, chosen) / queried, 1.0) if hits and queried else None,
        ttft_ms=latencies["ttft"],
        tpot_ms=latencies["tpot"],
        itl_ms=latencies["itl"],
        e2e_ms=latencies["e2e"],
        prefill_ms_per_token=_prefill(history, chosen, latencies["tpot"].mean, means["prompt"], hits, queried),
        running=sum(running) / len(running) if running else None,
        tokens_per_round=length,
        acceptance=acceptance,
        hours=tuple(_hour(history, requests, at) for at in sorted(requests)),
        notes=tuple(notes),
    )


def _sum(values: Series, times: Sequence[float]) -> float:
    return math.fsum(values.get(at, 0.0) for at in times)


def _over(values: Series, times: Sequence[float], by: float) -> float | None:
    return _sum(values, times) / by if values and by > 0 else None


def _quantiles(history: History, key: str, times: Sequence[float]) -> Quantiles:
    count = _sum(history.counts.get(key, {}), times)
    if count <= 0:
        return Quantiles()
    p50, p95, p99 = (_quantile(history, key, times, share) for share in (0.5, 0.95, 0.99))
    return Quantiles(mean=1000.0 * _sum(history.sums_s[key], times) / count, p50=p50, p95=p95, p99=p99)


def _quantile(history: History, key: str, times: Sequence[float], share: float) -> float | None:
    """In ms, straight inside a bucket; None in the last bucket, which has no upper bound."""
    bounds = sorted(history.buckets.get(key, {}))
    grown = [_sum(history.buckets[key][bound], times) for bound in bounds]
    if not grown or grown[-1] <= 0:
        return None
    wanted, low_s, below = share * grown[-1], 0.0, 0.0
    for bound_s, at_most in zip(bounds, grown, strict=True):
        if at_most >= wanted and at_most > below:
            if math.isinf(bound_s):
                return None
            return 1000.0 * (low_s + (bound_s - low_s) * (wanted - below) / (at_most - below))
        low_s, below = bound_s, max(below, at_most)
    return None


def _llama_tpot(history: History, times: Sequence[float]) -> Quantiles | None:
    """llama-server adds up the seconds of its decoding, by request."""
    seconds, tokens = _sum(history.counted["output_s"], times), _sum(history.counted["output"], times)
    return Quantiles(mean=1000.0 * seconds / tokens) if seconds > 0 and tokens > 0 else None


def _prefill(
    history: History, times: Sequence[float], tpot_ms: float | None, prompt: float, hits: Series, queried: float
) -> float | None:
    """ms a computed prompt token: llama-server's own sum, or the tenth percentile of TTFT less one step."""
    seconds, tokens = _sum(history.counted["prompt_s"], times), _sum(history.counted["prompt"], times)
    if seconds > 0 and tokens > 0:
        return 1000.0 * seconds / tokens
    quick_ms = _quantile(history, "ttft", times, 0.1)
    computed = prompt * (1.0 - (_sum(hits, times) / queried if hits and queried else 0.0))
    if quick_ms is None or tpot_ms is None or quick_ms <= tpot_ms or computed < 1.0:
        return None
    return (quick_ms - tpot_ms) / computed


def _acceptance(history: History, times: Sequence[float], asked: Asked) -> tuple[AcceptanceCounts | None, float | None]:
    """Counters over the whole time asked for, where positions are told; else the tokens of a round."""
    rounds = round(_sum(history.counted["rounds"], times))
    lengths = [value for value in history.round_length.values() if value > 0]
    length = sum(lengths) / len(lengths) if lengths else None
    if rounds <= 0:
        return None, length
    kept: list[int] = []
    for at in range(len(history.accepted_at)):
        # increase() extrapolates to fractions: whole counts must not rise with the position.
        kept.append(min(round(_sum(history.accepted_at.get(at, {}), times)), kept[-1] if kept else rounds))
    if not kept:
        return None, 1.0 + _sum(history.counted["accepted"], times) / rounds if history.counted["accepted"] else length
    metadata = TraceMetadata(
        draft=asked.draft or "not told",
        target=history.model or "not told",
        tokenizer_hash="not told",
        proposal="argmax",
        recorder=f"{_engine(history.engine)} metrics in Prometheus; that proposals are argmax is assumed",
        version=__version__,
    )
    return AcceptanceCounts(metadata=metadata, reached=(rounds,) * len(kept), kept=tuple(kept)), None


def _engine(name: str) -> str:
    return {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama-server"}[name]


def _utc(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _hour(history: History, requests: Series, at: float) -> Hour:
    count = requests[at]
    tpot = _llama_tpot(history, [at]) or _quantiles(history, "tpot", [at])
    return Hour(
        at=_utc(at - history.step_s),
        rate_per_s=count / history.step_s,
        prompt_tokens=_over(history.counted["prompt"], [at], count),
        output_tokens=_over(history.counted["output"], [at], count),
        running=history.running.get(at),
        ttft_ms=_quantiles(history, "ttft", [at]).mean,
        tpot_ms=tpot.mean if tpot.mean is not None else _quantiles(history, "itl", [at]).mean,
    )
