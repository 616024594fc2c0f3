"""The pair that ships with the package: byte-level target and draft, with where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from dsd_plan.errors import InputError
from dsd_plan.pair.quantised import dequantise
from dsd_plan.pair.shape import ModelShape
from dsd_plan.pair.transformer import Transformer

TARGET_NAME = "bytes-target-4m"
DRAFT_NAME = "bytes-draft-64k"

Role = Literal["target", "draft"]


def load_target(folder: Traversable | None = None) -> Transformer:
    """The bundled target. Raises ``InputError`` where its weights are missing or damaged."""
    return _load("target", _weights() if folder is None else folder)


def load_draft(folder: Traversable | None = None) -> Transformer:
    """The bundled draft. Raises ``InputError`` where its weights are missing or damaged."""
    return _load("draft", _weights() if folder is None else folder)


def provenance(folder: Traversable | None = None) -> dict[str, Any]:
    """What the weights were trained on, with what, for how long, how well they do, and their checksums."""
    path = (_weights() if folder is None else folder) / "provenance.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(str(path), f"not readable ({problem}); {_REINSTALL}") from problem
    return found


def tokenizer_hash() -> str:
    """Identity of the tokenizer, which is none: token id = byte value, 0 to 255."""
    return "sha256:" + hashlib.sha256(b"bytes " + bytes(range(256))).hexdigest()


class ByteTokenizer:
    """The tokenizer of the bundled pair: UTF-8 bytes."""

    hash = tokenizer_hash()
    vocabulary = 256
    opening: tuple[int, ...] = ()

    def encode(self, text: str) -> tuple[int, ...]:
        """Its bytes."""
        return tuple(text.encode("utf-8", errors="surrogatepass"))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of bytes; what is no UTF-8 comes back as U+FFFD."""
        return bytes(ids).decode("utf-8", errors="replace")


_REINSTALL = "reinstall dsd-plan, or train the pair again with python -m dsd_plan.pair.train"


def _weights() -> Traversable:
    return resources.files("dsd_plan.pair") / "weights"


def _load(role: Role, folder: Traversable) -> Transformer:
    from safetensors.numpy import load

    model = provenance(folder)["models"][role]
    path = folder / f"{role}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise InputError(str(path), f"not readable ({problem}); {_REINSTALL}") from problem
    found = hashlib.sha256(content).hexdigest()
    if found != model["sha256"]:
        raise InputError(
            str(path), f"damaged: SHA-256 is {found}, provenance.json says {model['sha256']}; {_REINSTALL}"
        )
    return Transformer(ModelShape(**model["shape"]), dequantise(load(content)))
