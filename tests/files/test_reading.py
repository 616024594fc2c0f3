"""Whatever can be wrong with a file before its keys are looked at gives one clear error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.errors import InputError, PlanError, ProfileError, ScenarioError
from dsd_plan.files import load_plan, load_profile, load_scenario, load_study
from dsd_plan.files.reading import FileText, json_of, toml_of, unusable_values

LOADERS: list[tuple[Callable[[Any], Any], type[InputError]]] = [
    (load_scenario, ScenarioError),
    (load_plan, PlanError),
    (load_profile, ProfileError),
    (load_study, InputError),
]

CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t\n", "is empty"),
    "binary": (bytes(range(1, 256)) * 3, "is not UTF-8 text"),
    "latin-1": ('name = "Zürich"'.encode("latin-1"), "is not UTF-8 text (line 1, byte 9)"),
    "UTF-16": ('name = "Zürich"'.encode("utf-16"), "is UTF-16 text"),
    "zero byte": (b'a = 1\nb = "\x00"', "zero byte (line 2)"),
}


@pytest.mark.parametrize(("load", "error"), LOADERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_that_is_no_text(
    tmp_path: Path, load: Callable[[Any], Any], error: type[InputError], content: str
) -> None:
    data, says = CONTENTS[content]
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        load(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("load", "error"), LOADERS)
def test_a_path_that_is_no_file(tmp_path: Path, load: Callable[[Any], Any], error: type[InputError]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, says in (
        (tmp_path / "gone", "no such file"),
        (tmp_path, "is a folder"),
        (pipe, "is a pipe or a device"),
        (tmp_path / ("x" * 300), "cannot be read: file name too long"),
        (Path("a\0b"), "cannot be read: embedded null byte"),
        (pipe / "below", "cannot be read: not a directory"),
    ):
        with pytest.raises(error, match=says):
            load(path)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.toml"
    path.write_text("schema = 1")

    def deny(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", deny)
    with pytest.raises(ScenarioError, match="cannot be read: permission denied"):
        load_scenario(path)


def text(content: str) -> FileText:
    return FileText(Path("a.toml"), "a.toml", content.encode())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a = 1\nb = = 2\n", "not valid TOML: line 2, column 5: invalid value"),
        ("a = 1\na = 2\n", "line 2, column 6: cannot overwrite a value"),
        ('a = 1\nb = "unfinished', "line 2, at the end of the file"),
        ("a = [1,\n 2,\n", "line 3, at the end of the file: invalid value; half-written?"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "[" * 60 + "]" * 60, "nested more than 40 levels deep"),
        ("a = " + "9" * 5000, "a number too large to read"),
    ],
)
def test_toml_mistakes_have_a_place(content: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        toml_of(text(content), ScenarioError)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1,\n "b": }', "not valid JSON: expecting value (line 2, column 7)"),
        ('{"a": 1,\n "b": [1, 2', "ends too early (line 2); half-written?"),
        ('{"a": 1, "a": 2}', 'the key "a" is written twice in one table'),
        ("[1, 2]", "expected a JSON table"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested more than 40 levels deep"),
        ('{"a": ' + "9" * 5000 + "}", "a number too large to read"),
    ],
)
def test_json_mistakes_have_a_place(content: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        json_of(text(content), PlanError)
    assert says in str(caught.value)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert toml_of(text("\ufeffa = 1"), ScenarioError) == {"a": 1}


def test_values_that_nothing_can_compute_with_are_found_in_order() -> None:
    raw = {"a": [1.0, float("nan"), -float("inf")], "b": {"c": 10**400, "d": True}, "e": "half \ud800", "f\x1b": 1}
    assert [place for place, _, _ in unusable_values(raw)] == [(), ("a", 1), ("a", 2), ("b", "c"), ("e",)]


def test_ordinary_values_are_usable() -> None:
    assert list(unusable_values({"a": [0, -1.5, 2**53, None, "Zürich — γ\n\t"], "b": {}})) == []
