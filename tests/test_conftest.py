"""A missing extra skips with a reason for a plain user, and fails where the extras are required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import pytest

@pytest.mark.browser
def test_page():
    pass

def test_plain():
    pass
"""


@pytest.mark.parametrize(
    ("required", "code", "summary"), [("0", 0, "1 passed, 1 skipped"), ("1", 1, "1 passed, 1 error")]
)
def test_missing_browser(tmp_path: Path, required: str, code: int, summary: str) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    browser\n    torch\n")
    environment = {**os.environ, "PATH": "", "DSD_PLAN_REQUIRE_EXTRAS": required}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert summary in done.stdout
    assert "Chromium" in done.stdout
