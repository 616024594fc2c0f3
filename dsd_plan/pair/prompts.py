"""Prompts of several kinds, taken at run time from standard library modules that training never saw."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsd_plan.pair.corpus import (
    HELD_OUT_CODE,
    HELD_OUT_EXAMPLES,
    HELD_OUT_PROSE,
    HELD_OUT_TABLES,
    module_text,
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Where a request starts."""

    task: str
    """Kind of text: code, prose, examples or tables."""
    module: str
    """Dotted name of the held-out module it was cut from."""
    tokens: tuple[int, ...]
    """UTF-8 bytes."""


def library_prompts(count: int, *, prompt_tokens: int, seed: int) -> tuple[Prompt, ...]:
    """``count`` prompts of ``prompt_tokens`` bytes each, the tasks in turn; the same seed gives the same prompts.

    A prompt starts at a line of a randomly chosen held-out module. Raises ``InputError`` where the running
    Python has no library sources, ``ValueError`` where a text is shorter than a prompt.
    """
    rng = np.random.default_rng(seed)
    texts = {task: _texts(modules, extract) for task, (modules, extract) in _KINDS.items()}
    tasks = tuple(_KINDS)
    return tuple(_cut(tasks[index % len(tasks)], texts, prompt_tokens, rng) for index in range(count))


def docstrings(source: str) -> str:
    """All docstrings of a module, in order, separated by blank lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                found.append(text)
    return "\n\n".join(found) + "\n"


def prose(source: str) -> str:
    """The paragraphs of a module's docstrings that are not interactive examples."""
    return "\n\n".join(part for part in docstrings(source).split("\n\n") if ">>>" not in part) + "\n"


def examples(source: str) -> str:
    """The interactive examples in a module's docstrings: prompts and what they print."""
    return "\n\n".join(part for part in docstrings(source).split("\n\n") if part.lstrip().startswith(">>>")) + "\n"


def _whole(source: str) -> str:
    return source


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "code": (HELD_OUT_CODE, _whole),
    "prose": (HELD_OUT_PROSE, prose),
    "examples": (HELD_OUT_EXAMPLES, examples),
    "tables": (HELD_OUT_TABLES, _whole),
}

TASKS = tuple(_KINDS)
"""Every task label, in the order in which prompts take turns."""


def _texts(modules: tuple[str, ...], extract: Callable[[str], str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, extract(module_text(name)).encode()) for name in modules)


def _cut(
    task: str, texts: dict[str, tuple[tuple[str, bytes], ...]], prompt_tokens: int, rng: np.random.Generator
) -> Prompt:
    module, text = texts[task][int(rng.integers(len(texts[task])))]
    if len(text) < prompt_tokens:
        raise ValueError(f"prompt_tokens is {prompt_tokens}, but the {task} text of {module} has {len(text)} bytes")
    at = int(rng.integers(len(text) - prompt_tokens + 1))
    line = text.rfind(b"\n", 0, at) + 1
    return Prompt(task=task, module=module, tokens=tuple(text[line : line + prompt_tokens]))
