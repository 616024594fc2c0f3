"""Files appear whole or not at all, and the same content gives the same bytes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsd_plan.errors import InputError


def json_text(body: Any) -> str:
    """JSON in the order of the fields, two spaces deep, UTF-8, with a newline at the end.

    Raises ValueError for NaN and infinity: what is not known is null.
    """
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, body: Any) -> None:
    """Write `body` as `json_text`. Raises InputError where the path cannot be written."""
    write_whole(path, json_text(body).encode("utf-8"))


def write_whole(path: str | Path, data: bytes) -> None:
    """Put `data` at `path`, making its folder, by renaming a finished file beside it.

    A reader sees the old file or the new one. Raises InputError where the path cannot be written.
    """
    write_by(path, lambda part: part.write_bytes(data))


def write_by(path: str | Path, write: Callable[[Path], object]) -> None:
    """`write_whole` for what writes itself: `write` is given the name of the unfinished file."""
    try:
        # A link keeps pointing at the file that it names.
        target = Path(path).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
        try:
            write(part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        raise InputError(str(path), f"cannot be written: {reason.lower()}; choose another path") from None
