"""The suffix rule: the last part of a name tells the unit of the number it holds."""

from __future__ import annotations

# Longest suffixes first: `_j_per_token` must win over `_j`.
SUFFIXES: tuple[tuple[str, str], ...] = (
    ("_j_per_token", "J/token"),
    ("_mib_per_token", "MiB/token"),
    ("_per_million_tokens", "cost/M tokens"),
    ("_bytes_per_token", "B/token"),
    ("_tokens_per_s", "tokens/s"),
    ("_cost_per_hour", "cost/h"),
    ("_per_s", "1/s"),
    ("_per_hour", "1/h"),
    ("_gib", "GiB"),
    ("_mib", "MiB"),
    ("_mbps", "Mbit/s"),
    ("_bytes", "B"),
    ("_tokens", "tokens"),
    ("_ms", "ms"),
    ("_us", "µs"),
    ("_s", "s"),
    ("_j", "J"),
    ("_w", "W"),
)


def unit_of(name: str) -> str | None:
    """Unit of the quantity called `name`, or None for a bare number (a count, a probability, a ratio)."""
    for suffix, unit in SUFFIXES:
        if name == suffix[1:] or name.endswith(suffix):
            return unit
    return None
