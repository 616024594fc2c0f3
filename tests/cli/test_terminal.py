"""Tables, JSON, progress, and names that would steer a terminal."""

from __future__ import annotations

import pytest

from dsd_plan.cli.terminal import progress, say, say_json, say_wrapped, show_table, warn


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "value"), [("[bold red]x[/]", "1"), (":smile:", "22")])
    assert capsys.readouterr().out.splitlines() == [
        "name            value",
        "[bold red]x[/]      1",
        ":smile:            22",
    ]


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2J\x07b\u202ec\x9bd"
    say(f"  {hostile}\n31.4\u202fms")
    show_table(("name",), [(hostile,)])
    warn(hostile)
    said = capsys.readouterr()
    assert said.out.split("\n") == ["  a[2Jbcd", "31.4 ms", "name", "a[2Jbcd", ""]
    assert said.err == "warning: a[2Jbcd\n"


def test_json_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        say_json({"x": float("nan")})


def test_progress_goes_to_stderr_once_a_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("measuring") as on_progress:
        for done in range(101):
            on_progress(done, 100, f"{done} of 100")
    assert capsys.readouterr() == ("", "".join(f"measuring: {done} of 100\n" for done in range(0, 101, 10)))


def test_prose_is_broken_at_80_columns_and_numbers_stay_with_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    say_wrapped("  " + " ".join(["seven77"] * 9) + " 12\u202fms " + "x" * 90)
    lines = capsys.readouterr().out.splitlines()
    # 2 + 9·8 − 1 columns hold the nine words, and " 12 ms" makes 79.
    assert lines[0] == "  " + " ".join(["seven77"] * 9) + " 12 ms"
    assert lines[1:] == ["  " + "x" * 90]


def test_a_mean_that_is_known_exactly_is_one_number() -> None:
    from dsd_plan.cli.performance_table import _ends

    assert _ends(27.1, 27.1) == _ends(27.1, 27.1000001)
    assert "–" not in _ends(27.1, 27.1)
    assert "–" in _ends(27.1, 28.4)
