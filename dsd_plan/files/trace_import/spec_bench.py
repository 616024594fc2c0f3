"""Spec-Bench's `accept_lengths` (a list of tokens emitted, round by round) and EAGLE's older totals by turn.

EAGLE: checked against its published outputs for Llama 2 70B (`eagle/outputs`, 80 questions). Spec-Bench: the
format of its evaluation scripts; no file was at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.errors import Problem
from dsd_plan.files.trace_import.rounds import RoundsRead
from dsd_plan.files.trace_import.source import (
    Imported,
    ImportOptions,
    counts,
    documents,
    metadata_of,
    nothing_found,
    refuse,
    tables_with,
)


def read_lengths(path: Path, options: ImportOptions) -> Imported:
    """Answers with `accept_lengths`: each is a round's emitted tokens, so one more than it accepted."""
    problems: list[Problem] = []
    rounds = RoundsRead()
    window, longest = options.window, 0
    if window is None:
        problems.append(Problem("--window", "the source tells what was accepted, not how much was proposed; say it"))
    for line, answer in documents(path):
        task = answer.get("category") if isinstance(answer, dict) else None
        for place, choice in tables_with(answer, "accept_lengths", line):
            emitted = counts(choice["accept_lengths"], f"{place}.accept_lengths", problems)
            if emitted is None:
                continue
            if min(emitted, default=1) < 1:
                problems.append(Problem(place, "a round emits one token at least: found 0"))
                continue
            accepted = [tokens - 1 for tokens in emitted]
            longest = max([longest, *accepted])
            made = [window if window is not None else kept for kept in accepted]
            rounds.add_lists(made, accepted, place, problems, task if isinstance(task, str) else None)
    refuse(path, problems)
    if not rounds.any():
        raise nothing_found(path, "spec-bench", "choices with accept_lengths")
    notes = (f"every round is taken to propose {window}, as said; the longest kept {longest}",)
    return rounds.imported(metadata_of(options, str(path), "Spec-Bench", temperature=None), notes)


def read_eagle(path: Path, options: ImportOptions) -> Imported:
    """Answers with `idxs` (the last round's number) and `new_tokens`, a turn each: totals of rounds and tokens."""
    problems: list[Problem] = []
    rounds = emitted = answers = 0
    model: Any = None
    for line, answer in documents(path):
        for place, choice in tables_with(answer, "idxs", line):
            last = counts(choice["idxs"], f"{place}.idxs", problems)
            tokens = counts(choice.get("new_tokens"), f"{place}.new_tokens", problems)
            if last is None or tokens is None:
                continue
            if len(last) != len(tokens):
                problems.append(Problem(place, f"{len(last)} turns in idxs and {len(tokens)} in new_tokens"))
            answers += 1
            rounds += sum(last) + len(last)
            emitted += sum(tokens)
            model = answer.get("model_id", model) if isinstance(answer, dict) else model
    refuse(path, problems)
    if not answers or emitted == 0:
        raise nothing_found(path, "eagle", "choices with idxs and new_tokens above 0")
    if emitted < rounds:
        refuse(path, [Problem("", f"{emitted:,} tokens in {rounds:,} rounds: less than one a round")])
    metadata = metadata_of(options, str(path), "EAGLE", draft=model if isinstance(model, str) else None)
    trace = AcceptanceCounts(metadata=metadata, rounds=rounds, accepted=emitted - rounds, window=options.window)
    note = (
        f"{answers:,} answers: {emitted:,} tokens in {rounds:,} rounds, {emitted / rounds:.2f} a round, from a tree of "
        "candidates; how much was proposed, and acceptance by position, are not told"
    )
    return Imported(trace, (note,))
