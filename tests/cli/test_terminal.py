"""Numbers and tables as they are printed."""

from __future__ import annotations

import pytest

from dsd_plan.cli.terminal import milliseconds, number, progress, say_json, share, show_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (31.42, "31.4"),
        (1.274, "1.27"),
        (9.996, "10.0"),
        (99.96, "100"),
        (2899.6, "2,900"),
        (123456.0, "123,000"),
        (0.0412, "0.0412"),
        (0.123, "0.123"),
        (0.00004, "4.00e-05"),
        (-5.5, "-5.50"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.5, "0.500 ms"), (31.42, "31.4 ms"), (999.4, "999 ms"), (1274.0, "1.27 s")],
)
def test_times_take_the_unit_that_reads_best(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_shares_are_percentages() -> None:
    assert share(0.9724) == "97.2 %"
    assert share(None) == "–"


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "value"), [("[bold red]x[/]", "1"), (":smile:", "22")])
    assert capsys.readouterr().out.splitlines() == [
        "name            value",
        "[bold red]x[/]      1",
        ":smile:            22",
    ]


def test_json_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        say_json({"x": float("nan")})


def test_progress_goes_to_stderr_once_a_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("measuring") as on_progress:
        for done in range(101):
            on_progress(done, 100, f"{done} of 100")
    assert capsys.readouterr() == ("", "".join(f"measuring: {done} of 100\n" for done in range(0, 101, 10)))
