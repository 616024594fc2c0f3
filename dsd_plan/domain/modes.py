"""The ways to serve a workload."""

from __future__ import annotations

from typing import Literal

Mode = Literal["target_only", "fused", "distributed", "pipelined", "edge_only"]
