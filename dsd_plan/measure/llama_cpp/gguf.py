"""What the head of a GGUF file says of the size of its cache: versions 2 and 3 of the format, little-endian."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LONGEST = 1 << 26
"""Bytes of a text and values of a list, beyond which a head is taken for damaged."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9


@dataclass(frozen=True, slots=True)
class GgufShape:
    """Sizes of a model; None: not told."""

    max_context: int | None
    kv_bytes_per_token: int | None
    """Of a cache in 16-bit numbers, were every layer to keep every token."""


def gguf_shape(path: Path) -> GgufShape | None:
    """The sizes in a file's head; None where it is no GGUF file that can be read. Raises ``OSError``."""
    try:
        with path.open("rb") as opened:
            return _shape(_head(opened))
    except (struct.error, ValueError, UnicodeDecodeError):
        return None


def _shape(head: dict[str, Any]) -> GgufShape:
    kind = head.get("general.architecture")

    def size(key: str) -> int | None:
        value = head.get(f"{kind}.{key}")
        return value if isinstance(value, int) and value > 0 else None

    layers, heads, width = size("block_count"), size("attention.head_count"), size("embedding_length")
    told = head.get(f"{kind}.attention.head_count_kv", heads)
    cached = sum(told) if isinstance(told, list) else told * layers if told and layers else None
    narrow = width // heads if width and heads else None
    key, value = size("attention.key_length") or narrow, size("attention.value_length") or narrow
    kv_bytes = 2 * cached * (key + value) if cached and key and value else None
    return GgufShape(max_context=size("context_length"), kv_bytes_per_token=kv_bytes)


def _head(opened: IO[bytes]) -> dict[str, Any]:
    """Keys and values before the tokenizer's. Raises ``struct.error`` or ``ValueError`` for what is damaged."""
    if opened.read(4) != MAGIC or _number(opened, "I") not in VERSIONS:
        raise ValueError("not a GGUF file of a known version")
    _number(opened, "Q")
    found: dict[str, Any] = {}
    for _ in range(_number(opened, "Q")):
        key = _text(opened)
        if key.startswith("tokenizer."):
            break
        found[key] = _value(opened, _number(opened, "I"))
    return found


def _value(opened: IO[bytes], kind: int) -> Any:
    if kind == _TEXT:
        return _text(opened)
    if kind == _LIST:
        of, count = _number(opened, "I"), _number(opened, "Q")
        if count > LONGEST or of == _LIST:
            raise ValueError("a list that no model has")
        return [_value(opened, of) for _ in range(count)]
    if kind not in _NUMBERS:
        raise ValueError(f"unknown type {kind}")
    return _number(opened, _NUMBERS[kind])


def _text(opened: IO[bytes]) -> str:
    length = _number(opened, "Q")
    if length > LONGEST:
        raise ValueError("a text that no model has")
    return opened.read(length).decode("utf-8")


def _number(opened: IO[bytes], form: str) -> Any:
    return struct.unpack(f"<{form}", opened.read(struct.calcsize(f"<{form}")))[0]
