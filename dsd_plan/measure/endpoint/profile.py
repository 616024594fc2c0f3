"""From what a run measured of a server to its profile, and what must be said about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dsd_plan import __version__
from dsd_plan.domain.profile import LatencyProfile, ProfilePoint
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.endpoint.check import COMPARED, check_under_load, injected_share
from dsd_plan.measure.endpoint.fit import EndpointFit, PrefillLevel, fit_endpoint, prefill_levels
from dsd_plan.measure.endpoint.metrics_page import Fact, speculates
from dsd_plan.measure.endpoint.plan import EndpointRun, file_name
from dsd_plan.measure.endpoint.run import Greeting
from dsd_plan.measure.endpoint.steps import DecodeLevel, decode_level, drift_of, idle_ttfts, most_decoding

BUSY_CLIENT = 0.7
"""Processor seconds a second beyond which the client's own delays may be in the times."""

MOST_DRIFT = 0.1
FAR_SCALE = 0.08
"""Slowdown under load beyond which a user is told: engines measured elsewhere need factors of 0.99 to 1.08."""
FAR_SHARE = 1.5
"""Cost of a prompt among decoding streams, over the profile's, beyond which a user is told."""


@dataclass(frozen=True, slots=True)
class EndpointProfile:
    """The profile, and what a user must be told about it."""

    profile: LatencyProfile
    warnings: tuple[str, ...]


def made_profile(
    run: EndpointRun,
    greeting: Greeting,
    facts: dict[str, Fact],
    notes: list[str],
    *,
    device: str,
    save_as: str | None,
    measured_at: str,
) -> EndpointProfile:
    """Everything after the measurement: levels, law, points, checks, warnings."""
    results = [result for result in run.results if result.answers]
    levels: dict[tuple[str, int, int], list[int]] = {}
    for index, result in enumerate(results):
        if result.trial.phase in ("alone", "closed"):
            levels.setdefault(result.trial.level, []).append(index)
    found = [decode_level([results[index] for index in at]) for at in levels.values()]
    decode = _one_a_batch([level for level in found if level is not None])
    if not run.floor_ms:
        raise MeasurementError("the round trip to the server could not be measured: no short request was answered")
    floor_ms = float(np.median(run.floor_ms))
    nominal = (*run.settings.prompts, *run.settings.contexts)
    prefill = prefill_levels(idle_ttfts(results), nominal, floor_ms)
    fitted = fit_endpoint(decode, prefill)
    profile = LatencyProfile(
        device=device,
        model=save_as or file_name(run.model),
        origin="measured",
        fit=fitted.fit,
        points=_points(decode, prefill, fitted.request_ms),
        backend="endpoint",
        software={"dsd-plan": __version__, **_engine(greeting)},
        measured_at=measured_at,
    )
    method, warnings = _told(run, greeting, fitted, decode, floor_ms, facts)
    check = check_under_load(profile, results)
    if check is None:
        warnings.append("the open run was too short to check the law under load; raise --open-requests or --budget-s")
    else:
        method |= {
            "held_out_compares": COMPARED,
            "open_run_mean_streams": round(check.mean_streams, 2),
            "open_run_load_scale": round(check.load_scale, 4),
            "open_run_error_scaled": round(check.scaled_error, 4),
        }
        if abs(check.load_scale - 1.0) > FAR_SCALE:
            warnings.append(
                f"under the open run's load steps took {check.load_scale - 1.0:+.0%} against the profile; for loads "
                f"like it put load_scale = {check.load_scale:.3f} into fit.law (error then {check.scaled_error:.1%})"
            )
    share = injected_share(profile, results)
    if share is not None:
        method["injected_prefill_share"] = round(share, 3)
        if share > FAR_SHARE:
            warnings.append(
                f"a prompt put between decoding streams cost them {share:.1f} times what the profile says: loads with "
                "many prompts will be slower than predicted"
            )
    if notes:
        warnings.append("left out: " + "; ".join(notes))
    profile = replace(profile, method=method, held_out=None if check is None else check.held_out)
    return EndpointProfile(profile, tuple(warnings))


def _one_a_batch(levels: list[DecodeLevel]) -> list[DecodeLevel]:
    """One level for each batch and context: where the server queues, several concurrencies end in the same batch."""
    best: dict[tuple[int, int], DecodeLevel] = {}
    for level in levels:
        key = (level.batch, level.nominal_context)
        if key not in best or level.steps > best[key].steps:
            best[key] = level
    return sorted(best.values(), key=lambda level: (level.batch, level.nominal_context))


def _points(
    decode: list[DecodeLevel], prefill: tuple[PrefillLevel, ...], request_ms: float
) -> tuple[ProfilePoint, ...]:
    """Levels of one asked context share one context in the profile, so that its grid has no holes."""
    contexts = {
        nominal: round(float(np.mean([level.context_tokens for level in decode if level.nominal_context == nominal])))
        for nominal in {level.nominal_context for level in decode}
    }
    # Contexts asked for so close together that they round to one are one point.
    steps = {
        (level.batch, contexts[level.nominal_context]): ProfilePoint(
            phase="decode",
            batch=level.batch,
            new_tokens=1,
            context_tokens=contexts[level.nominal_context],
            samples=level.steps,
            latency_ms=level.latency_ms,
        )
        for level in decode
    }
    prompts: dict[int, ProfilePoint] = {}
    for level in prefill:
        tokens = round(level.prompt_tokens)
        stats = level.latency_ms
        # What a request costs beside its steps is no step's time; never below a thousandth of what was seen.
        moved = {
            name: max(ms - request_ms, 1e-3 * stats.p50)
            for name in ("mean", "p50", "p95", "p99", "min", "p50_low", "p50_high")
            if (ms := getattr(stats, name)) is not None
        }
        prompts[tokens] = ProfilePoint(
            phase="prefill",
            batch=1,
            new_tokens=tokens,
            context_tokens=0,
            samples=level.samples,
            latency_ms=replace(stats, **moved),
        )
    return (*steps.values(), *prompts.values())


def _engine(greeting: Greeting) -> dict[str, str]:
    if greeting.engine is None:
        return {}
    return {"engine": f"{greeting.engine} {greeting.engine_version or '(version not told)'}"}


def _told(
    run: EndpointRun,
    greeting: Greeting,
    fitted: EndpointFit,
    decode: list[DecodeLevel],
    floor_ms: float,
    facts: dict[str, Fact],
) -> tuple[dict[str, Fact], list[str]]:
    """The method, and warnings."""
    settings = run.settings
    spread = [
        abs(level.context_tokens / np.mean([o.context_tokens for o in decode if o.nominal_context == at]) - 1.0)
        for level in decode
        for at in (level.nominal_context,)
    ]
    client = max((result.cpu_share for result in run.results), default=0.0)
    method: dict[str, Fact] = {
        "api": greeting.way.api,
        "ignore_eos": greeting.way.ignore_eos,
        "usage_reported": greeting.way.counts_tokens,
        "seed": settings.seed,
        "trials": len(run.results),
        "requests": sum(len(result.answers) for result in run.results),
        "concurrencies": ", ".join(map(str, settings.concurrencies)),
        "http_floor_ms": round(floor_ms, 3),
        "http_floor_path": greeting.floor_path,
        "request_overhead_ms": round(fitted.request_ms, 3),
        "subtracted_from_prefill": "http_floor_ms (measured) and request_overhead_ms (fitted)",
        "most_streams_decoding": most_decoding(run.results),
        "context_spread": round(float(max(spread)), 4),
        "steps_averaged_over_streams": any(level.averaged for level in decode),
        "client_cpu_share": round(client, 3),
        "error_of_law": "each level left out once; idle TTFT with its overhead",
    }
    drift = drift_of(run.results)
    if drift is not None:
        method["drift"] = round(drift, 4)
    warnings = list(fitted.notes)
    if facts.get("contention") is not None:
        warnings.append(f"others used the server meanwhile: {facts['contention']}; measure again when it is free")
    if drift is not None and abs(drift) > MOST_DRIFT:
        warnings.append(f"the same step took {drift:+.0%} at the end of the run: the server was not steady")
    most, wanted = most_decoding(run.results), max(result.trial.concurrency for result in run.results)
    if 1 < most < wanted:
        warnings.append(
            f"at most {most} of {wanted} streams were seen decoding together: the server lets others wait (set "
            f"batch_cap = {most} for this device), or prompts take longer than answers (raise --output-tokens)"
        )
    if speculates(facts):
        method["server_speculates"] = True
        warnings.append(
            "the server speculates itself, so that its inter-token times are rounds and no plain steps: this profile "
            "must not be used as a target's; start the server without speculation and measure again"
        )
    elif method["steps_averaged_over_streams"]:
        warnings.append(
            "chunks held several tokens, or came in bursts: decode times are averages over streams; if the server "
            "speculates, start it without and measure again"
        )
    hits = facts.get("prefix_hit_share")
    if isinstance(hits, float) and hits > 0.05:
        warnings.append(f"{hits:.0%} of prompt tokens came from the prefix cache: prefill looks faster than it is")
    preempted = facts.get("preemptions")
    if isinstance(preempted, float) and preempted > 0:
        warnings.append(f"the server preempted {preempted:g} requests: its KV memory was full; lower --concurrency")
    if client > BUSY_CLIENT:
        warnings.append(
            f"this client kept a core {client:.0%} busy: its own delays may be in the times; lower --concurrency"
        )
    asked = [(r.trial.output_tokens, a) for r in run.results if r.trial.phase != "open" for a in r.answers]
    if any(answer.completion_tokens < tokens for tokens, answer in asked if not answer.injected):
        warnings.append("answers ended before the length asked for: does the server take ignore_eos?")
    return method | facts, warnings
