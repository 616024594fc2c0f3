"""Prompts of your own: a text file with a prompt a line, or JSONL with prompt and task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dsd_plan.errors import InputError, Problem
from dsd_plan.measure.acceptance.logs import Tokenizer
from dsd_plan.pair.prompts import Prompt


def read_prompts(path: Path, tokenizer: Tokenizer, most: int | None = None) -> tuple[Prompt, ...]:
    """The first ``most`` prompts of a file, all where it is None. Raises ``InputError`` with every problem.

    A line of a ``.jsonl`` file is a table with ``prompt`` (text) or ``prompt_token_ids``, and optionally ``task``,
    which then every line has; of any other file the line itself is the prompt.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(str(path), "is not UTF-8 text; expected prompts, one a line") from None
    except OSError as failure:
        raise InputError(str(path), f"cannot be read: {(failure.strerror or str(failure)).lower()}") from None
    numbered = [(f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()][:most]
    problems: list[Problem] = []
    found: list[Prompt] = []
    tables = path.suffix.lower() in (".jsonl", ".ndjson")
    for place, line in numbered:
        prompt = _of_table(line, tokenizer) if tables else _of_text(line, tokenizer)
        if isinstance(prompt, str):
            problems.append(Problem(place, prompt))
        else:
            found.append(prompt)
    if not numbered:
        problems.append(Problem("", "has no prompts; expected one a line"))
    if len({bool(prompt.task) for prompt in found}) > 1:
        problems.append(Problem("task", "some lines have one and others none; give every line one, or none"))
    if problems:
        raise InputError(str(path), problems[:20])
    return tuple(found)


def _of_text(text: str, tokenizer: Tokenizer, task: str = "") -> Prompt | str:
    ids = (*tokenizer.opening, *tokenizer.encode(text))
    return Prompt(task=task, module="", tokens=ids) if ids else "the prompt has no tokens"


def _of_table(line: str, tokenizer: Tokenizer) -> Prompt | str:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        return "is not JSON; expected a table with prompt"
    if not isinstance(row, dict):
        return "expected a table with prompt"
    task = row.get("task", "")
    if not isinstance(task, str):
        return "task: expected text"
    ids = row.get("prompt_token_ids")
    if isinstance(ids, list) and ids and all(type(token) is int for token in ids):
        if not all(0 <= token < tokenizer.vocabulary for token in ids):
            return f"prompt_token_ids: expected ids from 0 to {tokenizer.vocabulary - 1}"
        return Prompt(task=task, module="", tokens=tuple(ids))
    if not isinstance(row.get("prompt"), str) or not row["prompt"]:
        return "expected prompt (text) or prompt_token_ids"
    return _of_text(row["prompt"], tokenizer, task)
