"""What every importer is given, and what it gives back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsd_plan import __version__
from dsd_plan.domain.acceptance import AcceptanceCounts, Proposal, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.errors import Problem, TraceError
from dsd_plan.files.reading import json_value, read_file, text_of

if TYPE_CHECKING:
    import polars as pl

LARGEST_DOCUMENT = 2**30
"""A JSON document is parsed whole; logs, a line at a time, may be as long as they like."""

MOST_PROBLEMS = 20
"""Shown in one message; a wrong `--from` makes every row a problem."""

UNKNOWN_TOKENIZER = "not told"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a user says beside the file, mostly what the source does not tell."""

    draft: str | None = None
    target: str | None = None
    proposal: Proposal | None = None
    temperature: float | None = None
    tokenizer_hash: str | None = None
    window: int | None = None
    """Proposals a round, for sources that tell only what was accepted."""
    before: Path | None = None
    """The same counters, read before the run."""
    group: str | None = None
    """Which of several runs in one file."""
    seed: int = 0
    """For sources that are generators."""
    span_s: float | None = None
    """How long to sample a generator."""
    rate_per_s: float | None = None
    """For lengths without times: Poisson arrivals at this rate."""


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A trace, and what a reader of it must know."""

    trace: TokenTrace | RoundTrace | AcceptanceCounts | pl.LazyFrame
    """Of requests a lazy frame in our columns: a day of traffic may be longer than memory."""
    notes: tuple[str, ...] = ()


def metadata_of(
    options: ImportOptions,
    source: str,
    recorder: str,
    *,
    draft: str | None = None,
    target: str | None = None,
    temperature: float | None = None,
) -> TraceMetadata:
    """Metadata from the options, or from what the source tells. Raises TraceError with all that nobody said."""
    draft, target = options.draft or draft, options.target or target
    wanted = (("draft", draft, "NAME"), ("target", target, "NAME"), ("proposal", options.proposal, "argmax|sampled"))
    problems = [
        Problem(f"--{name}", f"the source does not tell it; say --{name} {words}")
        for name, value, words in wanted
        if value is None
    ]
    if problems or draft is None or target is None or options.proposal is None:
        raise TraceError(source, problems)
    return TraceMetadata(
        draft=draft,
        target=target,
        tokenizer_hash=options.tokenizer_hash or UNKNOWN_TOKENIZER,
        proposal=options.proposal,
        recorder=f"{recorder}, imported by dsd-plan",
        version=__version__,
        temperature=options.temperature if options.temperature is not None else temperature,
    )


def documents(path: Path) -> Iterator[tuple[str, Any]]:
    """JSON values and where they stand: a line each of a JSONL file, else the one value of the file.

    Lines are read one at a time. Raises TraceError where the file is neither.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        yield from _lines(path)
        return
    if path.is_file() and path.stat().st_size > LARGEST_DOCUMENT:
        raise TraceError(str(path), "is one JSON document of over 1 GiB; save it as JSONL, a record a line")
    text = text_of(read_file(path, TraceError), TraceError)
    try:
        value = json.loads(text)
    except ValueError:
        # A JSONL file under another name: as many values as lines.
        if len(text.strip().splitlines()) > 1:
            yield from _lines(path)
            return
    else:
        yield "", value
        return
    yield "", json_value(text, str(path), TraceError)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with path.open("rb") as opened:
            for number, line in enumerate(opened, start=1):
                if line.strip():
                    try:
                        text = line.decode("utf-8-sig")
                    except UnicodeDecodeError:
                        raise TraceError(str(path), f"line {number} is not UTF-8 text; is it binary?") from None
                    yield f"line {number}", json_value(text, f"{path}: line {number}", TraceError)
    except OSError as failure:
        raise TraceError(str(path), f"cannot be read: {(failure.strerror or str(failure)).lower()}") from None


def tables_with(value: Any, key: str, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table inside a JSON value that has `key`, outermost first, with its place."""
    waiting: list[tuple[str, Any]] = [(place, value)]
    while waiting:
        here, thing = waiting.pop(0)
        if isinstance(thing, dict):
            if key in thing:
                yield here, thing
            waiting += [(f"{here}.{name}" if here else str(name), inner) for name, inner in thing.items()]
        elif isinstance(thing, list):
            waiting += [(f"{here}[{index}]", inner) for index, inner in enumerate(thing)]


def whole(value: Any, place: str, problems: list[Problem]) -> int | None:
    """A count, 0 or more, from JSON; None after noting what it is instead."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        problems.append(Problem(place, f"found {json.dumps(value)[:60]}, expected a whole number, 0 or more"))
        return None
    return int(value)


def counts(value: Any, place: str, problems: list[Problem]) -> list[int] | None:
    """A list of counts from JSON; None after noting what it is instead."""
    if not isinstance(value, list):
        problems.append(Problem(place, f"found {json.dumps(value)[:60]}, expected a list of whole numbers"))
        return None
    found = [whole(item, f"{place}[{index}]", problems) for index, item in enumerate(value)]
    return None if any(item is None for item in found) else [item for item in found if item is not None]


def refuse(path: Path, problems: list[Problem]) -> None:
    """Raise TraceError with every problem, as many as a person reads."""
    if not problems:
        return
    more = len(problems) - MOST_PROBLEMS
    shown = problems[:MOST_PROBLEMS]
    raise TraceError(str(path), [*shown, Problem("", f"and {more} more like these")] if more > 0 else shown)


def nothing_found(path: Path, kind: str, expected: str) -> TraceError:
    """The file holds nothing of this kind: most likely a wrong `--from`."""
    return TraceError(str(path), f"holds nothing that --from {kind} reads ({expected}); is it of another tool?")
