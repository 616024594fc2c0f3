"""The stylesheet's colours can be read, in light and in dark, by colour-blind readers too."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

SHEET = files("dsd_plan.report").joinpath("assets", "style.css").read_text(encoding="utf-8")
MODES = ("target-only", "fused", "distributed", "pipelined", "edge-only")

Colour = tuple[float, float, float]


def tokens(scheme: str) -> dict[str, str]:
    light, dark = (dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block)) for block in SHEET.split("@media", 2)[:2])
    return light if scheme == "light" else light | dark


def linear(colour: str) -> Colour:
    """Linear-light red, green and blue of a hexadecimal sRGB colour."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue


def luminance(colour: Colour) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def contrast(one: str, two: str) -> float:
    """WCAG 2.2, relative contrast."""
    high, low = sorted((luminance(linear(one)), luminance(linear(two))), reverse=True)
    return (high + 0.05) / (low + 0.05)


def as_deuteranope(colour: str) -> Colour:
    """Machado, Oliveira and Fernandes 2009, severity 1, in linear light."""
    r, g, b = linear(colour)
    return (
        0.367322 * r + 0.860646 * g - 0.227968 * b,
        0.280085 * r + 0.672501 * g + 0.047413 * b,
        -0.011820 * r + 0.042940 * g + 0.968881 * b,
    )


def distance(one: Colour, two: Colour) -> float:
    return sum((abs(a) ** (1 / 2.2) - abs(b) ** (1 / 2.2)) ** 2 for a, b in zip(one, two, strict=True)) ** 0.5


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["--ink", "--muted", "--broken"])
def test_text_can_be_read(scheme: str, text: str) -> None:
    known = tokens(scheme)
    assert contrast(known[text], known["--paper"]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_tiles_and_bars_can_be_read(scheme: str) -> None:
    known = tokens(scheme)
    for mode in MODES:
        assert contrast(known["--ink"], known[f"--tile-{mode}"]) >= 4.5
    for part in ("draft", "network", "wait"):
        assert contrast(known["--part-ink"], known[f"--part-{part}"]) >= 4.5
    assert contrast(known["--part-verify-ink"], known["--part-verify"]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_stand_out_from_the_paper(scheme: str) -> None:
    known = tokens(scheme)
    for mode in MODES:
        assert contrast(known[f"--mode-{mode}"], known["--paper"]) >= 2.4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["mode", "tile"])
def test_modes_differ_for_a_colour_blind_reader(scheme: str, kind: str) -> None:
    known = tokens(scheme)
    seen = [as_deuteranope(known[f"--{kind}-{mode}"]) for mode in MODES]
    closest = min(distance(one, two) for at, one in enumerate(seen) for two in seen[:at])
    assert closest >= 0.08


def test_both_schemes_have_every_colour() -> None:
    light, dark = SHEET.split("@media", 2)[:2]
    in_light = set(re.findall(r"(--[\w-]+): (?:#|rgba)", light))
    in_dark = set(re.findall(r"(--[\w-]+): (?:#|rgba)", dark))
    assert in_light == in_dark
