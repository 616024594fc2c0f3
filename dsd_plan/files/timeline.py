"""Timelines for Perfetto and Chrome's tracing: one event a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsd_plan.files.writing import write_whole


def write_timeline(path: str | Path, events: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write trace events and what they are `about`. Raises InputError where the path cannot be written."""
    lines = ",\n".join(json.dumps(event, ensure_ascii=False, allow_nan=False) for event in events)
    told = json.dumps(dict(about), ensure_ascii=False, allow_nan=False)
    text = f'{{"displayTimeUnit": "ms",\n"otherData": {told},\n"traceEvents": [\n{lines}\n]}}\n'
    write_whole(path, text.encode("utf-8"))
