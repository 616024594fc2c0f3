"""Names that lead nowhere, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_NAMES_LISTED = 8


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Text for a name that nothing carries, with the nearest one that something does."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f'no {kind} is called "{name}"; did you mean "{near[0]}"?'
    more = f" and {len(names) - MOST_NAMES_LISTED} more" if len(names) > MOST_NAMES_LISTED else ""
    listed = ", ".join(f'"{known_name}"' for known_name in names[:MOST_NAMES_LISTED])
    return f'no {kind} is called "{name}"; there is {listed or "none"}{more}'
