"""How evenly a routing spreads sessions over replicas and draft devices; measured against the replay."""

from __future__ import annotations

UNEVEN = {
    "jsq": 0.0,
    "least_expected_delay": 0.1,
    "round_robin": 0.1,
    "power_of_two": 0.2,
    "random": 1.0,
    "weighted": 1.0,
}
"""How far from evenly a routing spreads live sessions over replicas; beyond a half each replica fills by itself.

Replicas of one device type are equally fast but for faults, without which is predicted: `weighted` is `random`.
"""
EVENLY = ("jsq", "round_robin", "power_of_two", "least_expected_delay")
"""Routings that spread sessions over draft devices about as evenly as can be."""
