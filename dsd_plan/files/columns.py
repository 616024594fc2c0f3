"""The columns of every table that is read: names, types, ranges, meaning. The documentation's tables are these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ColumnKind = Literal["whole", "number", "flag", "text", "id"]

WORDS: dict[ColumnKind, str] = {
    "whole": "a whole number",
    "number": "a number",
    "flag": "0 or 1",
    "text": "text",
    "id": "a whole number or text",
}


@dataclass(frozen=True, slots=True)
class NotYetColumn:
    """Contents of a column that would change a result by a capability still to come."""

    works: Callable[[NDArray[Any]], bool]
    does: str
    instead: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: ColumnKind
    meaning: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    not_yet: NotYetColumn | None = None

    @property
    def expected(self) -> str:
        """What every value looks like, e.g. "a whole number, 1 or more"."""
        words = WORDS[self.kind]
        if self.low is not None and self.high is not None:
            return f"{words} from {self.low:g} to {self.high:g}"
        return words if self.low is None else f"{words}, {self.low:g} or more"


def _all_equal(value: float) -> Callable[[NDArray[Any]], bool]:
    return lambda values: bool(np.all(values == value))


def _one_value(values: NDArray[Any]) -> bool:
    return np.unique(values).size == 1


REQUEST_ID = Column("request_id", "id", "which request the row belongs to", required=True)
TASK = Column("task", "text", "kind of content; a workload's `task` picks its rows")
TEMPERATURE = Column(
    "temperature",
    "number",
    "sampling temperature of the target",
    low=0,
    not_yet=NotYetColumn(_one_value, "rows of several temperatures in one trace", "split the file by temperature"),
)
CONTEXT_TOKENS = Column("context_tokens", "whole", "tokens before this one, or before this round", low=0)

TOKENS: tuple[Column, ...] = (
    REQUEST_ID,
    Column("position", "whole", "index of the generated token in its request: 0, 1, 2, …", required=True, low=0),
    Column(
        "match",
        "flag",
        "1 where the draft's proposal equals the token that the target emitted",
        required=True,
        low=0,
        high=1,
    ),
    Column("confidence", "number", "the draft's own probability of its proposal", low=0, high=1),
    TASK,
    TEMPERATURE,
    CONTEXT_TOKENS,
)
"""Acceptance trace, token form: one row a generated token."""

ROUNDS: tuple[Column, ...] = (
    REQUEST_ID,
    Column("round", "whole", "index of the round in its request: 0, 1, 2, …", required=True, low=0),
    Column("proposed", "whole", "tokens that the draft proposed", required=True, low=1),
    Column("accepted", "whole", "how many of them, from the first on, the target accepted", required=True, low=0),
    TASK,
    TEMPERATURE,
    CONTEXT_TOKENS,
    Column(
        "candidates",
        "whole",
        "candidate paths of the round; a plan plays those of as many as it asks for",
        low=1,
    ),
    Column("draft_ms", "number", "time of drafting the window; read and checked, not used", low=0),
    Column("verify_ms", "number", "time of the verify step; read and checked, not used", low=0),
    Column("rtt_ms", "number", "round trip of the messages; read and checked, not used", low=0),
    Column("uplink_bytes", "whole", "payload sent up; read and checked, not used", low=0),
    Column("downlink_bytes", "whole", "payload sent down; read and checked, not used", low=0),
)
"""Acceptance trace, round form: one row a round."""

REQUESTS: tuple[Column, ...] = (
    Column("arrival_s", "number", "when the request starts at its site", required=True, low=0),
    Column("prompt_tokens", "whole", "tokens of the prompt", required=True, low=1),
    Column("output_tokens", "whole", "tokens to generate", required=True, low=1),
    Column("request_id", "id", "name of the request, in no other row; read and checked, not used"),
    Column(
        "workload", "text", "name of the workload, which takes the rows with its name; without the column it takes all"
    ),
    Column(
        "task",
        "text",
        "kind of content",
        not_yet=NotYetColumn(
            _one_value, "requests of several tasks in one trace", "split the file by task, or drop the column"
        ),
    ),
    Column("user", "id", "who asks; told by `trace describe`"),
    Column("conversation", "id", "which conversation the request continues; told by `trace describe`"),
    Column("turn", "whole", "index of the request in its conversation; told by `trace describe`", low=0),
    Column(
        "cached_prefix_tokens",
        "whole",
        "tokens of the prompt that are in the cache already, the draft's too: not prefilled; below prompt_tokens",
        low=0,
    ),
)
"""Workload trace: one row a request."""

ROUND_TRIPS: tuple[Column, ...] = (
    Column("at_s", "number", "when the round trip was measured", required=True, low=0),
    Column("rtt_ms", "number", "the round trip", required=True, low=0),
)
"""Link trace: one row a measured round trip."""
