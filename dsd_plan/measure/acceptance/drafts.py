"""Models by the names that a command line gives them: the bundled ones, or folders of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsd_plan.errors import InputError, Problem
from dsd_plan.measure.acceptance.logs import Tokenizer, different
from dsd_plan.measure.acceptance.prompt_file import read_prompts
from dsd_plan.measure.acceptance.record import RecordedPair, bundled_pair
from dsd_plan.measure.acceptance.score import BundledDraft, DraftModel
from dsd_plan.pair.bundled import DRAFT_NAME, TARGET_NAME, ByteTokenizer, load_draft, load_target
from dsd_plan.pair.prompts import Prompt, library_prompts
from dsd_plan.pair.transformer import Transformer

if TYPE_CHECKING:
    from dsd_plan.measure.acceptance.torch_pair import TorchCausal

BUNDLED = "bundled"
LIBRARY_PROMPTS = 192


def load_drafts(names: Sequence[str], on: str = "cpu", dtype: str | None = None) -> tuple[DraftModel, ...]:
    """Models that share a tokenizer. Raises ``InputError`` naming those that do not, or that are named alike."""
    drafts = tuple(load_draft_model(name, on, dtype) for name in names)
    twice = [name for name, count in Counter(draft.name for draft in drafts).items() if count > 1]
    problems = [Problem("--draft", f"{name} is given more than once; rename a folder, or drop one") for name in twice]
    problems += [
        Problem(f"--draft {name}", f"its tokenizer is not that of {names[0]}: {reason}; score it alone")
        for name, draft in zip(names[1:], drafts[1:], strict=True)
        if draft.tokenizer.hash != drafts[0].tokenizer.hash
        for reason in (different(draft.tokenizer, drafts[0].tokenizer),)
    ]
    if problems:
        raise InputError("trace score", problems)
    return drafts


def load_draft_model(name: str, on: str = "cpu", dtype: str | None = None) -> DraftModel:
    """``bundled``, a bundled model's own name, or a folder. Raises ``InputError`` or ``MeasurementError``."""
    if name in (BUNDLED, DRAFT_NAME):
        return BundledDraft(DRAFT_NAME, load_draft(), ByteTokenizer())
    if name == TARGET_NAME:
        return BundledDraft(TARGET_NAME, load_target(), ByteTokenizer())
    from dsd_plan.measure.acceptance.torch_pair import TorchDraft

    return TorchDraft(_folder(name, "--draft"), on, dtype)


def load_tokenizer(name: str) -> Tokenizer:
    """``bundled``, or a folder's. Raises ``InputError`` where the folder has none."""
    if name in (BUNDLED, DRAFT_NAME, TARGET_NAME):
        return ByteTokenizer()
    from dsd_plan.measure.acceptance.torch_pair import FolderTokenizer

    return FolderTokenizer(_folder(name, "--tokenizer"))


def ready_bundled(
    prompts: Path | None, requests: int | None, prompt_tokens: int, seed: int
) -> tuple[RecordedPair[Transformer], tuple[Prompt, ...]]:
    """The bundled pair, and the first ``requests`` prompts of a file, or so many texts of Python's library."""
    if prompts is None:
        return bundled_pair(), library_prompts(requests or LIBRARY_PROMPTS, prompt_tokens=prompt_tokens, seed=seed)
    return bundled_pair(), read_prompts(prompts, ByteTokenizer(), requests)


def ready_folders(
    target: Path, draft: Path, prompts: Path, requests: int | None, on: str = "cpu", dtype: str | None = None
) -> tuple[RecordedPair[TorchCausal], tuple[Prompt, ...]]:
    """Models of your own, and prompts in their tokens. Raises ``InputError`` or ``MeasurementError``."""
    from dsd_plan.measure.acceptance.torch_pair import FolderTokenizer, torch_pair

    folders = _folder(str(target), "--target"), _folder(str(draft), "--draft")
    starts = read_prompts(prompts, FolderTokenizer(folders[0]), requests)
    return torch_pair(*folders, on, dtype), starts


def _folder(name: str, option: str) -> Path:
    path = Path(name)
    if not path.is_dir():
        raise InputError(option, f"{name}: no such folder; give {BUNDLED}, or the folder of a model on this machine")
    return path
