"""Exit codes, help and the table of verbs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dsd_plan.cli import main
from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.verbs import VERBS, Entry, Family, LaterVerb, Verb
from dsd_plan.errors import InfeasibleError, InputError, Problem, UnstableError

CONTRACT = {
    *("new", "demo", "check", "predict", "replay", "crosscheck", "optimize", "capacity", "sweep", "testbed"),
    *("export", "report", "compare", "policy train", "policy compare"),
    *(f"profile {word}" for word in ("device", "link", "endpoint", "show", "compare", "merge", "import")),
    *(f"trace {word}" for word in ("record", "score", "import", "fit", "describe", "synth")),
}


EXTENSIONS = {"profile import"}
"""Verbs that this project has beside the contract's."""


def leaves(entries: tuple[Entry, ...] = VERBS, before: str = "") -> Iterator[tuple[str, Verb | LaterVerb]]:
    for entry in entries:
        if isinstance(entry, Family):
            yield from leaves(entry.verbs, f"{entry.name} ")
        else:
            yield before + entry.name, entry


PRESENT = {words: verb for words, verb in leaves() if isinstance(verb, Verb)}
LATER = {words: verb for words, verb in leaves() if isinstance(verb, LaterVerb)}


def plant(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `dsd-plan check x` raise this error."""

    def run() -> None:
        """Raise."""
        raise error

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(run=run))


def test_every_verb_of_the_contract_is_in_the_table() -> None:
    assert set(PRESENT) | set(LATER) == CONTRACT | EXTENSIONS


def test_help_lists_every_verb_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    for entry in VERBS:
        assert f"  {entry.name} " in text
        assert entry.summary in text, "a summary longer than its line is cut"
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("family", [entry for entry in VERBS if isinstance(entry, Family)], ids=lambda f: f.name)
def test_help_of_a_family_lists_its_verbs(family: Family, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([family.name, "--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert all(f"  {verb.name} " in text for verb in family.verbs)


def test_help_imports_no_verb_and_no_heavy_library() -> None:
    heavy = {"numpy", "scipy", "numba", "polars", "plotly", "networkx", "pydantic", "torch"}
    verbs = {verb.module for verb in PRESENT.values()}
    script = (
        "import sys; from dsd_plan.cli import main; main(['--help']); "
        f"print(*({heavy | verbs!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


@pytest.mark.parametrize("words", PRESENT)
def test_every_verb_has_help_and_json(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "--json" in text
    assert PRESENT[words].summary in text


@pytest.mark.parametrize("words", PRESENT)
def test_every_verb_module_says_more_than_the_summary(words: str) -> None:
    run: Any = importlib.import_module(PRESENT[words].module).run
    assert inspect.getdoc(run) not in (None, PRESENT[words].summary)


@pytest.mark.parametrize("words", LATER)
def test_a_later_verb_says_so_and_what_to_do_instead(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "some.toml", "--json", "--plan", "x"]) == ExitCode.BAD_INPUT
    said = capsys.readouterr()
    assert said.out == ""
    assert f"dsd-plan {words}: not supported yet: " in said.err
    assert LATER[words].instead in said.err


@pytest.mark.parametrize("line", ["", "profile", "trace", "policy", "nonsense", "predict", "check --nonsense x"])
def test_usage_errors_exit_2_and_explain(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == ExitCode.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage: dsd-plan" in said.err


def test_a_typo_names_the_nearest_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimise"]) == ExitCode.USAGE
    assert "Did you mean 'optimize'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("metro.toml", [Problem("a", "one"), Problem("b", "two")]), 1, "metro.toml: 2 problems"),
        (UnstableError("h200", 1.2, "add a replica"), 1, "h200: saturation 1.20"),
        (InfeasibleError("tpot_p95_ms", 10, 12.5, "relax it"), 3, "tpot_p95_ms allows 10"),
        (PermissionError(13, "Permission denied", "out.html"), 1, "dsd-plan: out.html: Permission denied"),
        (KeyboardInterrupt(), 130, "dsd-plan: interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, error)
    assert main(["check"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_a_bug_is_not_dressed_up_as_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        main(["check"])


def test_a_closed_pipe_ends_quietly() -> None:
    script = "import sys; from dsd_plan.cli import main; sys.exit(main(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == ExitCode.PIPE_CLOSED


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from dsd_plan import __version__

    assert main(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"dsd-plan {__version__}\n"
