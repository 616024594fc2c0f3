"""How long a step of a model takes on a device, how that is known, and what it draws."""

from __future__ import annotations

from typing import Literal

from dsd_plan.domain.records import Count, Name, Natural, NonNegative, Positive, record

Origin = Literal["measured", "interpolated", "extrapolated", "declared"]
Phase = Literal["decode", "prefill"]


@record
class StepLaw:
    """Affine step time: step + Σ per_token·new + Σ per_prompt_token·prompt + Σ per_kv_token·kv/1000.

    The sums run over the jobs of one step; new tokens are those decoded or verified. Contract, `law`.
    """

    step_ms: NonNegative
    per_token_ms: NonNegative = 0.0
    per_prompt_token_ms: NonNegative = 0.0
    per_kv_token_us: NonNegative = 0.0
    active_w: NonNegative | None = None
    knots: tuple[tuple[NonNegative, NonNegative], ...] | None = None
    mixed_kv_token_us: NonNegative | None = None
    per_prompt_token_sq_us: NonNegative | None = None
    load_scale: Positive | None = None


@record
class LatencyStats:
    """Spread of one grid point's repeated measurements."""

    mean: NonNegative
    std: NonNegative
    p50: NonNegative
    p95: NonNegative
    p99: NonNegative
    min: NonNegative | None = None
    mad: NonNegative | None = None
    """Median absolute deviation from the median."""
    p50_low: NonNegative | None = None
    p50_high: NonNegative | None = None
    """95 % confidence interval of the median, between p50_low and p50_high."""


@record
class ProfilePoint:
    """One measured step: `batch` sequences, each with `new_tokens` on top of `context_tokens` already cached."""

    phase: Phase
    batch: Count
    new_tokens: Count
    context_tokens: Natural
    samples: Count
    latency_ms: LatencyStats
    energy_j: NonNegative | None = None


@record
class LawFit:
    """The affine law fitted to the points, with its error on points left out of the fit."""

    law: StepLaw
    mean_error: NonNegative | None = None
    """Mean |predicted/measured − 1| over left-out points; None for a declared law."""
    max_error: NonNegative | None = None
    folds: Natural = 0


@record
class HeldOut:
    """How well the surface tells steps that it was not made from."""

    points: Count
    mean_error: NonNegative
    """Mean |told/measured − 1|."""
    max_error: NonNegative


@record
class LayerSlicing:
    """A model too large to load, measured on some of its layers and scaled to all of them."""

    layers: Count
    """Of the whole model."""
    measured_layers: tuple[Count, Count]
    """The two depths that were measured."""
    check: HeldOut | None = None
    """Scaled against whole, where a model of the same kind could be measured both ways."""
    check_model: str | None = None
    """Which model that was."""


@record
class LatencyProfile:
    """Measured steps of one model on one device, or a declared law (no points) labelled as such."""

    device: Name
    model: Name
    origin: Literal["measured", "imported", "declared"]
    fit: LawFit
    points: tuple[ProfilePoint, ...] = ()
    backend: str | None = None
    precision: str | None = None
    software: dict[str, str] | None = None
    measured_at: str | None = None
    method: dict[str, str | float | int | bool | None] | None = None
    """How it was measured: threads, drift of the anchor, load, contention, wall seconds, …"""
    weights_gib: NonNegative | None = None
    kv_mib_per_token: NonNegative | None = None
    idle_w: NonNegative | None = None
    active_w: NonNegative | None = None
    power_source: Literal["nvml", "rapl", "declared", "none"] = "none"
    sustained: tuple[tuple[NonNegative, Positive], ...] | None = None
    """(seconds of continuous work, share of the initial speed left), where the device throttles."""
    held_out: HeldOut | None = None
    """Interpolation against steps measured inside the grid and left out of the points."""
    slicing: LayerSlicing | None = None
    citation: str | None = None
    """Of an imported profile: who measured it, where it was published, under which licence."""

    def __hash__(self) -> int:
        # Its dict fields cannot be hashed; identity is enough to keep what was derived from it.
        return id(self)


def declared_profile(device: str, model: str, law: StepLaw) -> LatencyProfile:
    """A profile that is only a law somebody wrote down; every number from it is marked `declared`."""
    return LatencyProfile(
        device=device,
        model=model,
        origin="declared",
        fit=LawFit(law=law),
        active_w=law.active_w,
        power_source="none" if law.active_w is None else "declared",
    )
