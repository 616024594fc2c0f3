"""Files appear whole or not at all, with the same bytes for the same content."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dsd_plan.errors import InputError
from dsd_plan.files import json_text, write_json
from dsd_plan.files.writing import write_whole


def test_the_folder_is_made_and_nothing_else_is_left_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "study.json"
    write_json(path, {"z": 1, "a": "γ"})
    write_json(path, {"z": 2, "a": "γ"})
    assert [entry.name for entry in path.parent.iterdir()] == ["study.json"]
    assert path.read_text(encoding="utf-8") == '{\n  "z": 2,\n  "a": "γ"\n}\n'


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.json"
    write_json(path, {"old": True})

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"study\.json: cannot be written: no space left on device"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.json"]


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"a": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_a_link_keeps_pointing_at_its_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("{}")
    link.symlink_to(real)
    write_json(link, [1])
    assert link.is_symlink()
    assert json.loads(real.read_text()) == [1]


def test_a_file_may_be_read_as_the_user_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "x", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("bad", ["folder", "a\0b", "file/below"])
def test_a_path_that_cannot_be_written(tmp_path: Path, bad: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(tmp_path / bad, b"1")
