"""What `dsd-plan new` does with logs and metrics: a scenario folder, and a table of what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsd_plan.cli.terminal import say, say_json, show_table, warn
from dsd_plan.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from dsd_plan.domain.present_system import PresentSystem
    from dsd_plan.files.present_system import Told

LAW_KEYS = ("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us", "active_w")
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds_of(option: str, text: str) -> float:
    """`7d`, `12h`, `90m`, `3600s`. Raises InputError."""
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * UNITS_S[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 60.0 <= seconds <= 366 * 86_400.0:
        raise InputError(f"{option} {text}", "expected a time of 1m to 366d: a number and one of s, m, h, d, w")
    return seconds


def told_of(
    rtt_ms: float | None,
    price_per_hour: float | None,
    edge_device: str | None,
    edge_devices: int | None,
    replicas: int | None,
    max_batch: int | None,
    model: str | None,
    draft: str | None,
    acceptance: str | None,
) -> Told:
    """The options that fill what logs do not tell. Raises InputError."""
    from dsd_plan.files import load_profile
    from dsd_plan.files.present_system import Told

    law = None if edge_device is None else law_of(edge_device)
    profile = None if edge_device is None or law is not None else load_profile(edge_device)
    return Told(
        rtt_ms=rtt_ms,
        price_per_hour=price_per_hour,
        edge_profile=profile,
        edge_law=law,
        edge_devices=edge_devices,
        replicas=replicas,
        max_batch=max_batch,
        model=model,
        draft=draft,
        acceptance=None if acceptance is None else acceptance_of(acceptance),
    )


def law_of(text: str) -> dict[str, float] | None:
    """`step_ms=6.5,per_token_ms=0.1`; None where the text is a file's name. Raises InputError."""
    import math

    if "=" not in text or Path(text).exists():
        return None
    law: dict[str, float] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        try:
            law[key.strip()] = float(value)
        except ValueError:
            law[key.strip()] = -1.0
    wrong = [key for key, value in law.items() if key not in LAW_KEYS or not math.isfinite(value) or value < 0]
    if wrong or "step_ms" not in law:
        raise InputError(
            f"--edge-device {text}",
            f"expected a profile, or step_ms=6.5 and any of {', '.join(LAW_KEYS[1:])}, each 0 or more",
        )
    return law


def acceptance_of(text: str) -> float | Path:
    """A probability, or the path of a trace, counters or a law. Raises InputError."""
    try:
        share = float(text)
    except ValueError:
        return Path(text)
    if not 0.0 < share < 1.0:
        raise InputError(f"--acceptance {text}", "expected a number between 0 and 1, or a file")
    return share


def write_and_show(path: Path, seen: PresentSystem, requests: pl.LazyFrame | None, told: Told, as_json: bool) -> None:
    """Write the folder and say of every value where it is from."""
    from dsd_plan.files.present_system import write_present_system

    made = write_present_system(path, seen, requests, told)
    for note in seen.notes:
        if not note.startswith("measured: "):
            warn(note)
    if as_json:
        values = [
            {"name": line.what, "value": line.value, "origin": line.origin, "source": line.source}
            for line in made.lines
        ]
        say_json({"written": [str(file) for file in made.files], "values": values, "notes": list(seen.notes)})
        return
    show_table(
        ("what", "value", "known", "from"),
        [(line.what, line.value, line.origin, line.source.partition(", say --")[0]) for line in made.lines],
        text_columns=4,
    )
    say()
    for file in made.files:
        say(f"wrote {file}")
    left = [line for line in made.lines if line.origin == "to type"]
    if left:
        say(f"left to type in {path / 'scenario.toml'}: {', '.join(line.what for line in left)}")
    say(f"next: dsd-plan check {path / 'scenario.toml'}")
    say(f"then: dsd-plan predict {path / 'scenario.toml'} --plan {path / 'plan.json'}, beside what was measured")
