"""The options of `dsd-plan trace synth`: which belong together, and what they say, all problems at once."""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsd_plan.calibrate.synthesis import ArrivalLaw, LogNormal


class Arrivals(StrEnum):
    """How open requests come."""

    POISSON = "poisson"
    GAMMA = "gamma"
    MODULATED = "modulated"


LENGTHS = ("prompt_tokens", "output_tokens")
MODULATED = ("burst_ratio", "burst_s", "quiet_s")
OPEN = ("span_s", "rate_per_s", "arrivals", "gap_cv", *MODULATED, "by_hour", *LENGTHS, "correlation", "lengths_from")
CLOSED = ("users", "think_s", "response_s", "span_s", *LENGTHS)
LIKE = ("like", "span_s", "rate_per_s")


class Given:
    """Options by the names of their parameters; what is wrong with them gathers in `problems`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = {key: value for key, value in values.items() if value is not None}
        self.problems: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def number(self, key: str, *, zero: bool = False, default: float | None = None) -> float:
        """A finite number above 0, or at least 0; 1 after noting that there is none."""
        value = self.values.get(key, default)
        if value is None:
            self.problems.append(f"{flag(key)} is missing")
        elif not isfinite(value) or value < 0 or (value == 0 and not zero):
            self.problems.append(f"{flag(key)} {value:g}: expected a number {'0 or more' if zero else 'above 0'}")
        else:
            return float(value)
        return 1.0

    def only(self, allowed: tuple[str, ...], where: str) -> None:
        """No option is ignored: note those that have no meaning here."""
        strangers = [flag(key) for key in self.values if key not in allowed]
        if strangers:
            self.problems.append(
                f"{', '.join(strangers)} {'has' if len(strangers) == 1 else 'have'} no meaning {where}"
            )

    def refuse(self) -> None:
        """Raise ValueError with every problem, an option a line where there are several."""
        if len(self.problems) == 1:
            raise ValueError(self.problems[0])
        if self.problems:
            raise ValueError(f"{len(self.problems)} problems" + "".join(f"\n  - {text}" for text in self.problems))


def flag(key: str) -> str:
    """The option of a parameter."""
    return f"--{key.replace('_', '-')}"


def arrival_law(given: Given) -> ArrivalLaw:
    """Poisson unless said."""
    from dsd_plan.calibrate.synthesis import Gaps, Modulated

    kind = given.values.get("arrivals", Arrivals.POISSON)
    extra = {Arrivals.POISSON: (), Arrivals.GAMMA: ("gap_cv",), Arrivals.MODULATED: MODULATED}[kind]
    for key in ("gap_cv", *MODULATED):
        if key in given and key not in extra:
            given.problems.append(f"{flag(key)} does not go with --arrivals {kind.value}")
    if kind is Arrivals.GAMMA:
        return Gaps(given.number("gap_cv", zero=True))
    if kind is Arrivals.POISSON:
        return Gaps(1.0)
    before = len(given.problems)
    high, high_s, low_s = (given.number(key) for key in MODULATED)
    low = (1.0 * (high_s + low_s) - high * high_s) / low_s
    if low >= 0:
        return Modulated(low=low, high=high, low_s=low_s, high_s=high_s)
    if len(given.problems) == before:
        most = (high_s + low_s) / high_s
        text = f"--burst-ratio {high:g}: bursts alone would exceed the mean rate; at most {most:.3g} here"
        given.problems.append(text)
    return Gaps(1.0)


def lengths(given: Given) -> tuple[LogNormal, LogNormal] | None:
    """Laws of prompts and outputs; None where a recording brings them, or after noting what is wrong."""
    from dsd_plan.calibrate.synthesis import LogNormal

    if "lengths_from" in given:
        for key in (*LENGTHS, "correlation"):
            if key in given:
                given.problems.append(f"{flag(key)} does not go with --lengths-from, which brings them")
        return None
    found = []
    for key in LENGTHS:
        if key not in given:
            given.problems.append(f"{flag(key)} is missing")
            continue
        text = str(given.values[key])
        mean, _, cv = text.partition(":")
        try:
            law = LogNormal(float(mean), float(cv or 0.0))
        except ValueError:
            given.problems.append(f"{flag(key)} {text}: expected MEAN or MEAN:CV, such as 300:0.8")
            continue
        if not (1 <= law.mean <= 2**31 and 0 <= law.cv <= 100):
            given.problems.append(f"{flag(key)} {text}: expected a mean of 1 or more and a CV from 0 to 100")
            continue
        found.append(law)
    return (found[0], found[1]) if len(found) == 2 else None


def weights(given: Given) -> tuple[float, ...]:
    """24 weights of hours; all alike unless said."""
    from dsd_plan.calibrate.synthesis import FLAT

    if "by_hour" not in given:
        return FLAT
    text = str(given.values["by_hour"])
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) == 24 and min(found) >= 0 and 0 < sum(found) < float("inf"):
        return found
    given.problems.append(f"--by-hour {text[:60]}: expected 24 weights, 0 or more, divided by commas")
    return FLAT
