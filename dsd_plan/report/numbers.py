"""How numbers read: three significant digits with their unit, and never an invented zero."""

from __future__ import annotations

from math import floor, isfinite, log10

from dsd_plan.domain.performance import Interval
from dsd_plan.units import unit_of

UNKNOWN = "–"
MINUS = "\u2212"
THIN = "\u202f"
"""Narrow no-break space, between a number and its unit."""

METRICS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E"}
STATISTICS = ("mean", "p50", "p95", "p99")
LABELS = {
    "goodput_share": "requests within budget",
    "slo_attainment": "requests within budget",
    "energy_j_per_token": "energy a token",
    "cost_per_hour": "cost an hour",
    "cost_per_million_tokens": "cost a million tokens",
    "tokens_per_round": "tokens a round",
    "acceptance_rate": "acceptance rate",
    "rounds_per_request": "rounds a request",
    "requests_per_s": "requests a second",
    "tokens_per_s": "tokens a second",
    "goodput_per_s": "goodput",
    "bytes_per_token": "bytes a token",
    "rtt_ms": "RTT (ms)",
    "rtt": "RTT (ms)",
    "acceptance": "acceptance of the first proposal",
    "power_w": "power",
    "load": "load (× today's)",
    "prompt_tokens": "prompt length (tokens)",
    "step_time": "step time (× today's)",
}
SHARES = {"goodput_share", "slo_attainment", "acceptance_rate"}


ROUNDING = 1e-12
"""What is left of a sum that should be 0; no quantity here is as small."""


def number(value: float | None) -> str:
    """Three significant digits, thousands separated: 0.0412, 1.27, 31.4, 2,900."""
    if value is None or value != value:
        return UNKNOWN
    if not isfinite(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if abs(value) < ROUNDING:
        return "0"
    digits = float(f"{value:.3g}")
    exponent = floor(log10(abs(digits)))
    text = f"{digits:.2e}" if exponent < -4 else f"{digits:,.{max(0, 2 - exponent)}f}"
    return text.replace("-", MINUS)


def exact(value: float | None) -> str:
    """A whole number as it is, another to three significant digits: 14,050, 0.0412."""
    return count(value) if value is not None and float(value).is_integer() else number(value)


def given(value: float | None) -> str:
    """A number that somebody wrote down (a limit, a setting), as it was written: 45, 0.72, 1,200."""
    if value is None or not isfinite(value):
        return number(value)
    text = f"{value:,.6f}".rstrip("0").rstrip(".") if 1e-4 <= abs(value) < 1e9 else f"{value:g}"
    return text.replace("-", MINUS)


def given_quantity(name: str, value: float | None) -> str:
    """A limit or setting of the quantity called `name`, in its unit: 45 ms, 1.2 s, 95 %."""
    base = name.split(".")[0]
    unit = shown_unit(base)
    if value is None:
        return UNKNOWN
    if unit == "ms" and abs(value) >= 1000:
        value, unit = value / 1000, "s"
    elif is_share(base):
        value, unit = round(100 * value, 9), "%"
    return f"{given(value)}{THIN}{unit}" if unit else given(value)


def is_share(name: str) -> bool:
    """Whether the quantity called `name` is shown in per cent."""
    return name in SHARES or name.endswith("_share")


def count(value: float | None) -> str:
    """A whole number, thousands separated."""
    return UNKNOWN if value is None else f"{value:,.0f}".replace("-", MINUS)


def several(count: int, noun: str) -> str:
    """A number of things: "1 more workload", "2 more workloads"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def multiple(value: float | None) -> str:
    """A factor without padding zeros: 1, 1.25, 2.5."""
    return UNKNOWN if value is None else f"{value:.3g}".replace("-", MINUS)


def with_unit(value: float | None, unit: str) -> str:
    """A number with its unit; the dash that stands for unknown has none."""
    return number(value) if value is None or not unit else f"{number(value)}{THIN}{unit}"


def milliseconds(value: float | None) -> str:
    """A time in the unit that reads best: 31.4 ms, 1.27 s."""
    if value is None:
        return UNKNOWN
    shown = float(f"{value:.3g}") if isfinite(value) else value
    return with_unit(value, "ms") if abs(shown) < 1000 else with_unit(value / 1000, "s")


def share(value: float | None) -> str:
    """A share as a percentage: 97.2 %."""
    return UNKNOWN if value is None else with_unit(100 * value, "%")


def share_of(value: float) -> str:
    """A share of something in a sentence, without zeros that say nothing: 80 %, 12.5 %."""
    shown = f"{100 * value:.3g}" if value < 9.995 else f"{100 * value:,.0f}"
    return f"{shown}{THIN}%"


def signed_share(value: float | None) -> str:
    """A relative change with its sign, to a tenth of a per cent: +1.9 %, −12.4 %."""
    if value is None:
        return UNKNOWN
    if not isfinite(value):
        return with_unit(value, "%")
    text = f"{100 * value:+,.1f}".replace("-", MINUS)
    return f"{'0.0' if text[1:] == '0.0' else text}{THIN}%"


def quantity(name: str, value: float | None) -> str:
    """The value of the quantity called `name`, in its unit. A dotted name ("tpot_ms.p95") has its first part's unit."""
    base = name.split(".")[0]
    unit = unit_of(base)
    if unit == "ms":
        return milliseconds(value)
    if is_share(base):
        return share(value)
    return with_unit(value, shown_unit(base))


def shown_unit(name: str) -> str:
    """How the unit of `name` is written beside a number: what a label says ("an hour", "a token") is not said twice."""
    unit = unit_of(name)
    return {
        None: "",
        "cost/h": "",
        "1/h": "",
        "cost/M tokens": "",
        "1/s": "",
        "tokens/s": "",
        "J/token": "J",
        "B/token": "B",
    }.get(unit, unit or "")


def interval(name: str, found: Interval | None) -> str:
    """The two ends in one unit, e.g. "28.0–34.0 ms"; the dash where there is none, or it has no width."""
    if found is None or found.low == found.high:
        return UNKNOWN
    base = name.split(".")[0]
    if unit_of(base) == "ms":
        scale, unit = (1000.0, "s") if found.low >= 1000 else (1.0, "ms")
    elif is_share(base):
        scale, unit = 0.01, "%"
    else:
        scale, unit = 1.0, shown_unit(base)
    ends = f"{number(found.low / scale)}–{number(found.high / scale)}"
    return f"{ends}{THIN}{unit}" if unit else ends


def label(name: str) -> str:
    """What a metric or budget is called: "ttft_p95_ms" and "ttft_ms.p95" are both "TTFT p95"."""
    if name in LABELS:
        return LABELS[name]
    base, _, statistic = name.partition(".")
    stem = base.removesuffix("_ms")
    if name == base and stem in METRICS:
        return METRICS[stem]
    if not statistic:
        stem, _, statistic = stem.rpartition("_")
    if stem in METRICS and statistic in STATISTICS:
        return f"{METRICS[stem]} {statistic}"
    if base in LABELS:
        return f"{LABELS[base]}, {statistic}" if statistic else LABELS[base]
    return name.replace("_", " ")
