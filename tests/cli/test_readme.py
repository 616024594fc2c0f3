"""The README's commands exist and run: each `sh` block is executed, in order, in an empty folder.

A block marked `sh slow` is left to `make verify`; `console` only shows a command (setting up, measuring).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_app import LATER, PRESENT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh( slow)?\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
VERB = re.compile(r"dsd-plan ((?:(?:profile|trace|policy) )?[a-z]+)\b")
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(?:^|`)make ([a-z]+)\b", flags=re.MULTILINE)


def run(blocks: list[str], folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_the_readme_has_commands_to_run() -> None:
    assert len(BLOCKS) >= 4


def test_every_quick_block_runs(tmp_path: Path) -> None:
    run([block for slow, block in BLOCKS if not slow], tmp_path)
    assert PYTHON_BLOCKS
    run([f"python - <<'END'\n{block}END" for block in PYTHON_BLOCKS], tmp_path)


@pytest.mark.verify
def test_every_block_runs(tmp_path: Path) -> None:
    run([block for _, block in BLOCKS], tmp_path)
    assert (tmp_path / "metro" / "report.html").stat().st_size > 1_000_000


@pytest.mark.parametrize("words", sorted(set(VERB.findall(README))))
def test_every_verb_named_exists(words: str) -> None:
    assert words in PRESENT
    assert words not in LATER


@pytest.mark.parametrize("target", sorted(set(TARGET.findall(README))))
def test_every_make_target_named_exists(target: str) -> None:
    assert f"\n{target}: " in (ROOT / "Makefile").read_text(encoding="utf-8")
