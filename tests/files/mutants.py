"""Ways to spoil a sound file: in its keys and values, and in its bytes."""

from __future__ import annotations

import copy
import json
import random
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsd_plan.files import load_plan, load_profile, load_scenario

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.0, -0.5, 1e308, 5e-324),
    *(float("nan"), float("inf"), -float("inf"), "", " ", "clinic", "region", "big", "small", "box", "x" * 5000),
    *("../../etc/passwd", "/", ".", "a\0b", "\x1b[31m", "😀", "γ", "<script>alert(1)</script>", '"', "\\", "[0]"),
    *([], {}, [[]], [{}], {"": 1}, {"law": {}}, [1, 2], ["clinic", "region"], ["a"] * 300, {"a": {"b": {"c": [1]}}}),
    *("profiles/gpu/big.json", "traces/pair.parquet", "traces/chat.parquet", "clinics.toml", "plan.json"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: where it lies, how it is read, and how a table becomes its text."""

    name: str
    load: Callable[[Path], Any]
    text: Callable[[dict[str, Any]], str]


def toml_text(value: Any) -> str:
    """TOML of a table, all inline but the top; what TOML cannot hold is left to break it."""
    return "\n".join(f"{key_text(key)} = {toml_value(item)}" for key, item in value.items())


def toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if value is not None else '"null"'


def key_text(key: str) -> str:
    return json.dumps(key)


KINDS = (
    Kind("clinics.toml", load_scenario, toml_text),
    Kind("plan.json", load_plan, json.dumps),
    Kind("profiles/gpu/big.json", load_profile, json.dumps),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a raw table."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*at, key), *places(item, (*at, key)))]


def spoil_values(raw: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Delete, rename, double, swap or replace what stands in a few places."""
    spoilt = copy.deepcopy(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.choice(places(spoilt) or [()])
        if not place:
            break
        parent = spoilt
        for step in place[:-1]:
            parent = parent[step]
        key, how = place[-1], chance.choice(("delete", "rename", "double", "swap", "replace", "replace", "replace"))
        if how == "delete":
            del parent[key]
        elif how == "rename" and isinstance(parent, dict):
            parent[str(key)[::-1] if chance.random() < 0.5 else f"{key}x"] = parent.pop(key)
        elif how == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif how == "swap":
            other = chance.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
            parent[key], parent[other] = parent[other], parent[key]
        else:
            parent[key] = copy.deepcopy(chance.choice(NASTY))
    return spoilt


def spoil_bytes(data: bytes, chance: random.Random) -> bytes:
    """Cut, overwrite, repeat, re-encode or deepen."""
    how = chance.randrange(7)
    at = chance.randrange(len(data))
    if how == 0:
        return data[:at]
    if how == 1:
        noise = bytearray(data)
        for _ in range(chance.choice((1, 3, 30))):
            noise[chance.randrange(len(noise))] = chance.randrange(256)
        return bytes(noise)
    if how == 2:
        return data[:at] + data[chance.randrange(len(data)) :]
    if how == 3:
        return data.decode().encode(chance.choice(("utf-16", "utf-32", "utf-8-sig", "cp037")))
    if how == 4:
        return chance.randbytes(chance.randrange(300))
    if how == 5:
        return data[:at] + chance.choice((b"[", b"{", b'{"a":', b"9", b'"', b"\n", b"a.")) * 3000 + data[at:]
    return data.replace(*chance.choice(((b"1", b"-1"), (b"2", b"nan"), (b'"', b"'"), (b"e", b"\xff"), (b"=", b":"))))


def mutants(path: Path, kind: Kind, count: int, seed: int) -> Iterator[bytes]:
    """`count` spoilt versions of the file at `path`, half of them spoilt in keys and values, half in bytes."""
    data = path.read_bytes()
    raw = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    chance = random.Random(seed)
    for number in range(count):
        if number % 2:
            yield spoil_bytes(data, chance)
        else:
            yield kind.text(spoil_values(raw, chance)).encode("utf-8", "surrogatepass")
