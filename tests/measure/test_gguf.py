"""Sizes from the head of GGUF files that are written here, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.measure.llama_cpp.gguf import GgufShape, gguf_shape

LLAMA = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.embedding_length": 256,
    "llama.block_count": 4,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: str | int | list[int]) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        return text(key) + struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    return text(key) + struct.pack("<II", 4, value)


def head(keys: dict[str, str | int | list[int]], version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(keys)) + b"".join(entry(*item) for item in keys.items())


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_cache_of_a_token(tmp_path: Path) -> None:
    # 4 layers, 2 heads of 256/8 = 32 numbers, keys and values, 2 bytes each.
    found = gguf_shape(written(tmp_path / "m.gguf", head(LLAMA)))
    assert found == GgufShape(max_context=4096, kv_bytes_per_token=4 * 2 * (32 + 32) * 2)


def test_heads_by_layer_and_lengths_of_their_own(tmp_path: Path) -> None:
    keys = {**LLAMA, "llama.attention.head_count_kv": [2, 0, 1, 2], "llama.attention.key_length": 48}
    found = gguf_shape(written(tmp_path / "m.gguf", head(keys)))
    assert found == GgufShape(max_context=4096, kv_bytes_per_token=5 * (48 + 32) * 2)


def test_every_head_is_cached_where_nothing_else_is_said(tmp_path: Path) -> None:
    keys = {key: value for key, value in LLAMA.items() if not key.endswith("head_count_kv")}
    found = gguf_shape(written(tmp_path / "m.gguf", head(keys)))
    assert found is not None
    assert found.kv_bytes_per_token == 4 * 8 * (32 + 32) * 2


def test_the_tokenizer_is_not_read(tmp_path: Path) -> None:
    data = head({**LLAMA, "tokenizer.ggml.model": "x"})[:-1]
    found = gguf_shape(written(tmp_path / "m.gguf", data))
    assert found is not None
    assert found.max_context == 4096


def test_sizes_that_are_not_told_are_none(tmp_path: Path) -> None:
    found = gguf_shape(written(tmp_path / "m.gguf", head({"general.architecture": "mamba"})))
    assert found == GgufShape(max_context=None, kv_bytes_per_token=None)


@pytest.mark.parametrize("data", [b"GGUF", b"PK\x03\x04" + bytes(64), head(LLAMA, version=9), head(LLAMA)[:60]])
def test_what_is_no_gguf_file_has_no_shape(tmp_path: Path, data: bytes) -> None:
    assert gguf_shape(written(tmp_path / "m.gguf", data)) is None


@given(st.integers(8, len(head(LLAMA)) - 1), st.integers(0, 255))
def test_no_single_byte_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    data = bytearray(head(LLAMA))
    data[at] = byte
    found = gguf_shape(written(tmp_path_factory.getbasetemp() / "mutant.gguf", bytes(data)))
    assert found is None or found.kv_bytes_per_token is None or found.kv_bytes_per_token > 0
