"""Draft and target that transformers loads from local folders, for recording and scoring."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.errors import InputError, MeasurementError, Problem
from dsd_plan.measure.acceptance.logs import different
from dsd_plan.measure.acceptance.record import RecordedPair
from dsd_plan.measure.torch_backend.device import check_memory, chosen_dtype, find_device, torch_module
from dsd_plan.measure.torch_backend.transformers import UNKNOWN_CONTEXT, _loaded, _transformers, _weight_bytes

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

LOCKSTEP = 8
"""Requests of a pair that run together, where the architecture allows it."""
POSITIONS_TOGETHER = 512
"""Logits of so many positions are looked at together: a vocabulary may be large."""


class FolderTokenizer:
    """The tokenizer in a model's folder."""

    def __init__(self, folder: Path) -> None:
        """Raises ``InputError`` where the folder has none that can be read."""
        transformers = _transformers()
        try:
            found = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as failure:
            reason = (str(failure).splitlines() or [type(failure).__name__])[0]
            raise InputError(str(folder), f"has no tokenizer that transformers can load: {reason}") from None
        self._tokenizer: Any = found
        self.vocabulary = len(found)
        self.hash = _hash_of(found)
        start = found.bos_token_id
        bare = tuple(found("", add_special_tokens=True)["input_ids"])
        self.opening: tuple[int, ...] = bare[:1] if bare and bare[0] == start else ()

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text; special tokens are put nowhere, and read where they are spelt out."""
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, exactly as the pieces spell it."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    @property
    def stop(self) -> frozenset[int]:
        """The token that ends a text."""
        end = self._tokenizer.eos_token_id
        return frozenset() if end is None else frozenset({int(end)})

    def missing_in(self, other: FolderTokenizer) -> tuple[str, ...]:
        """The first tokens that the other lacks, or has at another id."""
        mine, theirs = self._tokenizer.get_vocab(), other._tokenizer.get_vocab()
        return tuple(token for token, at in sorted(mine.items(), key=lambda item: item[1]) if theirs.get(token) != at)


class TorchCausal:
    """A causal language model over a cache that can be rolled back; logits of ``vocabulary`` tokens only.

    Embeddings are often padded to a round number of rows: what lies beyond the tokenizer's ids is no token, and its
    logits are left out.
    """

    def __init__(self, folder: Path, vocabulary: int, on: str = "cpu", dtype: str | None = None) -> None:
        """Load ``folder``; nothing is fetched and no code in it is run. Raises ``MeasurementError``."""
        torch = torch_module()
        device = find_device(on)
        precision = chosen_dtype(dtype, device)
        check_memory(str(folder), _weight_bytes(folder, precision), device)
        transformers = _transformers()
        loaded = _loaded(transformers, folder, precision, device)
        config = loaded.config.get_text_config(decoder=True)
        self.name = folder.resolve().name
        self.vocabulary = vocabulary
        self.max_context = int(getattr(config, "max_position_embeddings", None) or UNKNOWN_CONTEXT)
        self.weight_bytes = sum(int(p.numel() * p.element_size()) for p in loaded.parameters())
        self.may_batch = getattr(config, "sliding_window", None) is None
        rows = int(loaded.get_output_embeddings().weight.shape[0])
        if rows < vocabulary:
            raise InputError(str(folder), f"its tokenizer has {vocabulary:,} ids, its output only {rows:,} rows")
        self._loaded: Any = loaded
        self._torch: Any = torch
        self._device = device
        self._dynamic_cache: Any = transformers.DynamicCache

    def new_cache(self, batch: int, capacity: int) -> TorchCache:
        """An empty cache. Raises ``ValueError`` for more than the model's context."""
        if not 1 <= capacity <= self.max_context:
            raise ValueError(f"capacity is {capacity} tokens; the model allows 1 to {self.max_context}")
        return TorchCache(self._dynamic_cache(), batch, self._torch, self._device.name)

    def forward(self, tokens: Ints, cache: TorchCache) -> Floats:
        """Append ``tokens`` (int[batch, new]) to every sequence; logits float32[batch, new, vocabulary]."""
        torch = self._torch
        positions = cache.append(tokens.shape[1])
        options: dict[str, Any] = {} if cache.is_even else {"attention_mask": cache.mask}
        with torch.inference_mode():
            found = self._loaded(
                torch.as_tensor(tokens, device=self._device.name),
                past_key_values=cache.kept,
                position_ids=positions,
                use_cache=True,
                **options,
            )
            logits: Floats = found.logits[..., : self.vocabulary].float().cpu().numpy()
        return logits

    def proposals(self, tokens: Ints) -> tuple[Ints, NDArray[np.float64]]:
        """The likeliest token after every one of ``tokens`` [batch, length], and its probability at temperature 1."""
        torch = self._torch
        chosen, sure = [], []
        with torch.inference_mode():
            fed = torch.as_tensor(tokens, device=self._device.name)
            logits = self._loaded(fed, use_cache=False).logits[..., : self.vocabulary]
            for part in logits.split(max(1, POSITIONS_TOGETHER // len(tokens)), dim=1):
                best = part.float().max(dim=-1)
                chosen.append(best.indices.cpu())
                sure.append((best.values - part.float().logsumexp(dim=-1)).exp().cpu())
        return torch.cat(chosen, dim=1).numpy(), torch.cat(sure, dim=1).double().numpy()


class TorchCache:
    """transformers' cache; what a sequence of a batch forgets stays in it as a hole that nobody attends to."""

    def __init__(self, kept: Any, batch: int, torch: Any, device: str) -> None:
        self.kept = kept
        self.lengths: Ints = np.zeros(batch, dtype=np.int64)
        self._torch = torch
        self.mask = torch.zeros((batch, 0), dtype=torch.long, device=device)

    @property
    def is_even(self) -> bool:
        """Whether there is no hole."""
        return bool((self.lengths == self.mask.shape[1]).all())

    def append(self, new: int) -> Any:
        """Make room for ``new`` tokens a sequence; their positions, long[batch, new]."""
        torch = self._torch
        starts = torch.as_tensor(self.lengths, device=self.mask.device)
        self.mask = torch.cat([self.mask, torch.ones((len(self.lengths), new), dtype=torch.long).to(self.mask)], dim=1)
        self.lengths = self.lengths + new
        return starts[:, None] + torch.arange(new, device=self.mask.device)

    def truncate(self, lengths: Ints) -> None:
        """Forget everything past ``lengths`` tokens; raises ``ValueError`` where that is longer."""
        wanted = np.asarray(lengths, dtype=np.int64)
        if (wanted < 0).any() or (wanted > self.lengths).any():
            raise ValueError(f"cannot roll back from {self.lengths.tolist()} to {wanted.tolist()} tokens")
        counted = self.mask.cumsum(dim=1)
        self.mask = self.mask * (counted <= self._torch.as_tensor(wanted, device=self.mask.device)[:, None])
        self.lengths = wanted.copy()
        self._crop()

    def keep(self, rows: Ints) -> None:
        """Go on with the sequences at ``rows``; a row named twice is copied."""
        index = self._torch.as_tensor(np.asarray(rows, dtype=np.int64), device=self.mask.device)
        if self.mask.shape[1]:
            self.kept.batch_select_indices(index)
        self.mask, self.lengths = self.mask[index], self.lengths[rows]
        self._crop()

    def _crop(self) -> None:
        """Cut off the columns that nobody attends to any more."""
        used = self.mask.any(dim=0).nonzero()
        surplus = self.mask.shape[1] - (int(used[-1]) + 1 if len(used) else 0)
        if surplus:
            try:
                self.kept.crop(-surplus)
            except (ValueError, RuntimeError, NotImplementedError, AttributeError) as failure:
                raise MeasurementError(f"this architecture's cache cannot be rolled back: {failure}") from failure
            self.mask = self.mask[:, : self.mask.shape[1] - surplus]


class TorchDraft(TorchCausal):
    """A draft of your own, for scoring."""

    def __init__(self, folder: Path, on: str = "cpu", dtype: str | None = None) -> None:
        """Raises ``InputError`` without a tokenizer, ``MeasurementError`` where the model cannot be loaded."""
        self.tokenizer = FolderTokenizer(folder)
        super().__init__(folder, self.tokenizer.vocabulary, on, dtype)


def torch_pair(target: Path, draft: Path, on: str = "cpu", dtype: str | None = None) -> RecordedPair[TorchCausal]:
    """Two local models that share a tokenizer. Raises ``InputError`` saying what differs, ``MeasurementError``."""
    whose = [FolderTokenizer(folder) for folder in (target, draft)]
    if whose[0].hash != whose[1].hash:
        raise InputError(str(draft), [Problem("tokenizer", _difference(target, *whose))])
    models = [TorchCausal(folder, whose[0].vocabulary, on, dtype) for folder in (target, draft)]
    return RecordedPair(
        target=models[0],
        draft=models[1],
        target_name=models[0].name,
        draft_name=models[1].name,
        tokenizer_hash=whose[0].hash,
        max_context=min(model.max_context for model in models),
        lockstep=LOCKSTEP if all(model.may_batch for model in models) else 1,
        stop=whose[0].stop,
    )


def _difference(target: Path, wanted: FolderTokenizer, found: FolderTokenizer) -> str:
    lost = [repr(token)[:30] for token in (*wanted.missing_in(found), *found.missing_in(wanted))]
    named = f", among them {', '.join(lost[:4])}" if lost else ", in merges alone"
    return (
        f"is not that of {target}: {different(found, wanted)}{named}; a proposal is a token id, so both must mean "
        "the same by it: choose a draft of the target's family"
    )


def _hash_of(tokenizer: Any) -> str:
    """Over ids, tokens and merges; how text is cut and normalised before them is not part of it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = {} if backend is None else json.loads(backend.to_str()).get("model", {})
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model.get("merges") or ()]
    content = json.dumps([sorted(tokenizer.get_vocab().items()), merges], ensure_ascii=True)
    return "sha256:" + hashlib.sha256(content.encode("ascii")).hexdigest()
