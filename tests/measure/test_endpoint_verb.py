"""`profile endpoint` over a real socket: files, resuming, refusals. What it finds is tested without a clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.domain.profile import StepLaw
from dsd_plan.files import load_profile
from tests.measure.scripted_server import Script, ScriptedServer
from tests.measure.socket_server import listening

QUICK = [
    *("--contexts", "16,64", "--prompts", "16,48,96", "--concurrency", "2,4", "--output-tokens", "10"),
    *("--inject-tokens", "48", "--open-requests", "8", "--rounds", "1", "--budget-s", "20", "--device", "box"),
]
FAST = StepLaw(step_ms=2.0, per_token_ms=0.5, per_prompt_token_ms=0.1, per_kv_token_us=5.0)


def profile_of(url: str, folder: Path, *more: str) -> int:
    return main(["profile", "endpoint", url, "-o", str(folder), *QUICK, *more])


def test_a_real_socket_gives_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(ScriptedServer(Script(law=FAST, metrics=True))) as url:
        assert profile_of(url, tmp_path, "--save-as", "mine", "--json") == 0
    told = capsys.readouterr()
    (profile,) = json.loads(told.out)["profiles"]
    assert profile["backend"] == "endpoint"
    loaded = load_profile(tmp_path / "box" / "mine.json")
    # A sleep is never too short, and a loaded machine makes it longer.
    assert loaded.fit.law.step_ms + loaded.fit.law.per_token_ms > 1.0
    assert {point.batch for point in loaded.points if point.phase == "decode"} >= {1, 2}
    assert url not in (tmp_path / "box" / "mine.json").read_text()
    assert list((tmp_path / "box").glob("*.partial.json")) == []
    assert "measuring" in told.err


def test_a_server_that_dies_leaves_a_run_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(ScriptedServer(Script(law=FAST, dies_at=30))) as url:
        assert profile_of(url, tmp_path) == 1
        failed = capsys.readouterr().err
        assert "--resume" in failed
        assert "request " in failed
        partial = tmp_path / "box" / "known.partial.json"
        kept = json.loads(partial.read_text())
        assert kept["schema"] == "dsd-plan/endpointrun/1"
        assert kept["results"]
    with listening(ScriptedServer(Script(law=FAST))) as url:
        assert profile_of(url, tmp_path) == 1
        assert "add --resume, or delete it" in capsys.readouterr().err
        assert profile_of(url, tmp_path, "--resume", "--seed", "5") == 1
        assert "another seed" in capsys.readouterr().err
        assert profile_of(url, tmp_path, "--resume") == 0
    assert not partial.exists()
    assert load_profile(tmp_path / "box" / "known.json").points


def test_interrupted_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dsd_plan.measure.endpoint.run.Session.visit_all", interrupted)
    with listening(ScriptedServer(Script(law=FAST))) as url:
        assert profile_of(url, tmp_path) == 130
    assert "repeat the command with --resume" in capsys.readouterr().err
    assert (tmp_path / "box" / "known.partial.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--contexts", "0,5"], "--contexts"),
        (["--concurrency", "a"], "--concurrency"),
        (["--prompts", ","], "--prompts"),
        (["--api-key-env", "DSD_PLAN_NO_SUCH_KEY"], "is not set"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_options_that_make_no_sense(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(ScriptedServer(Script(law=FAST))) as url:
        assert profile_of(url, tmp_path, *options) == 1
    assert words in capsys.readouterr().err


def test_key_comes_from_the_environment_and_is_never_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSD_PLAN_TEST_KEY", "wr0ng-key")
    with listening(ScriptedServer(Script(law=FAST, key="right"))) as url:
        assert profile_of(url, tmp_path, "--api-key-env", "DSD_PLAN_TEST_KEY") == 1
    told = capsys.readouterr()
    assert "401" in told.err
    assert "wr0ng-key" not in told.err + told.out


def test_a_folder_that_cannot_be_written_fails_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    server = ScriptedServer(Script(law=FAST))
    with listening(server) as url:
        assert profile_of(url, tmp_path) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert server.generating < 10
