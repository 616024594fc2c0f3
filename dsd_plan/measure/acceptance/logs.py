"""Logged completions: what a target said to which prompts, one JSON table a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dsd_plan.errors import Problem, TraceError

SHOWN_PROBLEMS = 20
"""Lines of a log that are named; the others are counted."""

PROMPT_IDS = ("prompt_token_ids",)
COMPLETION_IDS = ("completion_token_ids", "output_token_ids", "token_ids")
COMPLETION_TEXT = ("completion", "text", "output")


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def hash(self) -> str:
        """Identity of vocabulary and merges."""
        ...

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, without anything put before or after it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens spelt out."""
        ...

    @property
    def opening(self) -> tuple[int, ...]:
        """What the tokenizer puts before a prompt."""
        ...


@dataclass(frozen=True, slots=True)
class Completion:
    """One request of a log."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    task: str | None = None


@dataclass(frozen=True, slots=True)
class CompletionLog:
    """Completions of one target, sampled in one way."""

    requests: tuple[Completion, ...]
    target: str
    tokenizer_hash: str
    temperature: float
    top_p: float | None
    retokenised: int
    """Requests whose ids were found by tokenising their text again."""
    empty: int
    """Requests left out because nothing was generated."""

    @property
    def tokens(self) -> int:
        """Generated, over all requests."""
        return sum(len(request.completion) for request in self.requests)


@dataclass(frozen=True, slots=True)
class Said:
    """What the log does not tell, told by its reader; None: the log has to."""

    target: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    tokenizer: Tokenizer | None = None
    """The target's."""


def read_completions(path: Path, drafts: Tokenizer, said: Said | None = None) -> CompletionLog:
    """Read a log for drafts that share one tokenizer. Raises ``TraceError`` with every problem.

    A line has ``prompt_token_ids`` and ``completion_token_ids`` (or ``choices[0].token_ids``), or the texts ``prompt``
    and ``completion`` (or ``choices[0].text``) where tokenising them again is exact. ``temperature``, ``model`` and
    ``tokenizer_hash`` are the same on all lines; ``top_p`` and ``task`` are optional.
    """
    said = Said() if said is None else said
    reader = _Reader(str(path), drafts, said)
    for place, row in _rows(path):
        reader.take(place, row)
    return reader.log()


def completion_rows(
    requests: Sequence[Completion],
    *,
    target: str,
    tokenizer_hash: str,
    temperature: float,
    top_p: float,
) -> Iterator[str]:
    """Lines of a log that ``read_completions`` gives back."""
    for index, request in enumerate(requests):
        row: dict[str, Any] = {"request_id": index}
        if request.task is not None:
            row["task"] = request.task
        row |= {
            "model": target,
            "tokenizer_hash": tokenizer_hash,
            "temperature": temperature,
            "top_p": top_p,
            "prompt_token_ids": list(request.prompt),
            "completion_token_ids": list(request.completion),
        }
        yield json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n"


class _Reader:
    """Takes lines one by one and remembers everything that is wrong."""

    def __init__(self, name: str, drafts: Tokenizer, said: Said) -> None:
        self._name = name
        self._drafts = drafts
        self._said = said
        self._problems: list[Problem] = []
        self._requests: list[Completion] = []
        self._told: dict[str, dict[Any, str]] = {key: {} for key in ("model", "tokenizer_hash", "temperature", "top_p")}
        self._retokenised = 0
        self._spelt = 0
        """Requests whose text is there beside their ids, and is what the ids spell."""
        self._empty = 0

    def take(self, place: str, row: Any) -> None:
        """One line of the log."""
        if not isinstance(row, dict):
            self._wrong(place, "found no table; expected a JSON table a line")
            return
        choice = _choice(row)
        self._note(place, row)
        prompt, completion = self._ids(place, row, choice)
        if prompt is None or completion is None:
            return
        task = row.get("task")
        if task is not None and (not isinstance(task, str) or not task):
            self._wrong(place, 'task: expected text, e.g. "code"')
        elif not completion:
            self._empty += 1
        elif not prompt:
            self._wrong(place, "the prompt has no tokens; a draft needs one to go on from")
        else:
            self._requests.append(Completion(prompt, completion, task))

    def log(self) -> CompletionLog:
        """Everything read. Raises ``TraceError`` with all problems."""
        if not self._requests and not self._problems:
            self._problems.append(Problem("", "has no completion; nothing can be scored"))
        temperature = self._one("temperature", self._said.temperature, "--temperature T")
        top_p = self._one("top_p", self._said.top_p, None)
        target = self._one("model", self._said.target, "--target NAME")
        found_hash = self._tokenizer()
        if self._problems or temperature is None or target is None:
            raise TraceError(self._name, _shortened(self._problems))
        tasks = {request.task is None for request in self._requests}
        if len(tasks) > 1:
            raise TraceError(self._name, "some lines have a task and others none; give every line one, or none")
        return CompletionLog(
            requests=tuple(self._requests),
            target=target,
            tokenizer_hash=found_hash,
            temperature=float(temperature),
            top_p=top_p,
            retokenised=self._retokenised,
            empty=self._empty,
        )

    def _wrong(self, place: str, text: str) -> None:
        self._problems.append(Problem(place, text))

    def _note(self, place: str, row: dict[str, Any]) -> None:
        """How this line says that it was sampled, and by whom."""
        sampling = row.get("sampling_params")
        told = {**(sampling if isinstance(sampling, dict) else {}), **row}
        for key in ("temperature", "top_p"):
            value = told.get(key)
            if value is None:
                continue
            low = 0.0 if key == "temperature" else 1e-9
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 100.0:
                self._wrong(place, f"{key}: found {str(value)[:40]}, expected a number")
            else:
                self._told[key].setdefault(float(value), place)
        for key in ("model", "tokenizer_hash"):
            value = row.get(key)
            if isinstance(value, str) and value:
                self._told[key].setdefault(value, place)
            elif value is not None:
                self._wrong(place, f"{key}: expected text")

    def _one(self, key: str, said: Any, option: str | None) -> Any:
        """The one value of a key that every line shares; None where there is none or several."""
        found = self._told[key]
        if len(found) > 1:
            listed = ", ".join(f"{value} ({place})" for value, place in list(found.items())[:4])
            self._wrong(key, f"found several: {listed}; split the file by {key}")
            return None
        if not found:
            if said is None and option is not None:
                self._wrong(key, f"no line tells it, and what is accepted depends on it; say {option}")
            return said
        value = next(iter(found))
        if said is not None and said != value:
            self._wrong(key, f"the log tells {value}, {said} was said; leave one of them out")
        return value

    def _tokenizer(self) -> str:
        """The drafts' tokenizer's hash, once it is known that the log's ids are of that tokenizer."""
        mine = self._drafts.hash
        if self._said.tokenizer is not None:
            if self._said.tokenizer.hash != mine:
                difference = different(self._said.tokenizer, self._drafts)
                self._wrong("tokenizer", f"the target's is not the draft's: {difference}; choose another draft")
        elif (logged := self._one("tokenizer_hash", None, None)) is not None:
            if logged != mine:
                self._wrong("tokenizer_hash", f"the log was made with {logged}, the draft has {mine}; choose another")
        elif len(self._told["tokenizer_hash"]) == 0 and self._requests and self._spelt < len(self._requests):
            self._wrong(
                "tokenizer_hash",
                "nothing tells whose token ids these are; say --tokenizer FOLDER (the target's; or bundled), "
                "or log the texts beside the ids",
            )
        return mine

    def _ids(
        self, place: str, row: dict[str, Any], choice: dict[str, Any]
    ) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        found = [_first(PROMPT_IDS, row, choice), _first(COMPLETION_IDS, row, choice)]
        texts = [_first(("prompt",), row), _first(COMPLETION_TEXT, choice, row)]
        if found == [None, None] and isinstance(texts[0], str) and isinstance(texts[1], str):
            return self._from_text(place, texts[0], texts[1])
        if None in found:
            self._wrong(
                place,
                "has no token ids; expected prompt_token_ids and completion_token_ids, "
                "or the texts prompt and completion",
            )
            return None, None
        ids = [self._checked(place, which, value) for which, value in zip(("prompt", "completion"), found, strict=True)]
        if isinstance(texts[1], str) and ids[1] is not None:
            self._spelt += self._drafts.decode(ids[1]) == texts[1]
        return ids[0], ids[1]

    def _checked(self, place: str, which: str, value: Any) -> tuple[int, ...] | None:
        if not isinstance(value, list) or not all(type(token) is int for token in value):
            self._wrong(place, f"{which}_token_ids: expected a list of whole numbers")
            return None
        if any(not 0 <= token < self._drafts.vocabulary for token in value):
            wrong = next(token for token in value if not 0 <= token < self._drafts.vocabulary)
            self._wrong(
                place,
                f"{which}_token_ids: found {wrong}, the draft's tokenizer has ids 0 to {self._drafts.vocabulary - 1}",
            )
            return None
        return tuple(value)

    def _from_text(self, place: str, prompt: str, completion: str) -> tuple[Any, Any]:
        tokenizer = self._drafts
        whole, start = tokenizer.encode(prompt + completion), tokenizer.encode(prompt)
        if tokenizer.decode(whole) != prompt + completion:
            self._wrong(place, "its text does not come back when tokenised and joined again; log token ids")
        elif whole[: len(start)] != start:
            self._wrong(place, "a token spans the end of the prompt, so that its text has no exact ids; log token ids")
        else:
            self._retokenised += 1
            return (*tokenizer.opening, *start), whole[len(start) :]
        return None, None


def different(one: Tokenizer, other: Tokenizer) -> str:
    """What differs between two tokenizers, in words."""
    if one.vocabulary != other.vocabulary:
        return f"{one.vocabulary:,} token ids against {other.vocabulary:,}"
    return f"as many token ids, but other tokens or merges ({one.hash[:19]} against {other.hash[:19]})"


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Every line's JSON value with its place, a line at a time. Raises ``TraceError``."""
    lines = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                lines += 1
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise TraceError(str(path), f"line {number} is not JSON; expected a JSON table a line") from None
                yield f"line {number}", row
    except UnicodeDecodeError:
        raise TraceError(str(path), "is not UTF-8 text; expected JSONL") from None
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise TraceError(str(path), f"cannot be read: {reason}") from None
    if not lines:
        raise TraceError(str(path), "is empty; was it written to the end?")


def _choice(row: dict[str, Any]) -> dict[str, Any]:
    """The first of an answer's choices, as OpenAI-like servers give them; an empty table where there is none."""
    choices = row.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    return first if isinstance(first, dict) else {}


def _first(names: tuple[str, ...], *tables: dict[str, Any]) -> Any:
    return next((table[name] for table in tables for name in names if table.get(name) is not None), None)


def _shortened(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    by_line = [problem for problem in problems if problem.place.startswith("line ")]
    of_file = tuple(problem for problem in problems if not problem.place.startswith("line "))
    if len(by_line) <= SHOWN_PROBLEMS:
        return (*by_line, *of_file)
    more = Problem("", f"and {len(by_line) - SHOWN_PROBLEMS} lines more")
    return (*by_line[:SHOWN_PROBLEMS], more, *of_file)
