"""Who pays: the fleet's hours and joules by device, by workload, and by what they were spent on.

A device's time is shared among the workloads by the work they had it do; its price and its power follow its time. Idle
time is nobody's: it stands apart, and beside it each row tells what it pays with the idle time shared in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dsd_plan.domain.records import record

Part = Literal["draft", "prefill", "verify", "decode", "idle"]
Spending = Literal[
    "prefill", "verify", "decode", "drafting", "drafts accepted", "drafts rejected", "drafts thrown away", "idle"
]

PART_OF: Mapping[Spending, Part] = {
    "prefill": "prefill",
    "verify": "verify",
    "decode": "decode",
    "drafting": "draft",
    "drafts accepted": "draft",
    "drafts rejected": "draft",
    "drafts thrown away": "draft",
    "idle": "idle",
}
S_PER_HOUR = 3600.0
J_PER_KWH = 3.6e6


@record
class EnergyPart:
    """Energy of one device type spent on one thing."""

    device: str
    part: str
    """prefill, verify, decode (without a draft), drafts accepted, rejected or thrown away, idle."""
    energy_j_per_token: float | None
    """J for every output token of the whole fleet; None where a power is not known."""
    share: float | None
    """Of the fleet's energy."""
    workload: str | None = None
    """None: nobody's."""


@record
class AttributedPart:
    """What one workload has one device type do, and what that costs. Rows add up, in every column, to the fleet."""

    device: str
    workload: str | None
    """None: idle time, nobody's."""
    part: Part
    busy_share: float
    """Share of the time of all devices of the type."""
    cost_per_hour: float
    cost_with_idle_per_hour: float
    """With the device type's idle time shared in proportion to its busy time."""
    power_w: float | None
    """None where it is not known."""
    power_with_idle_w: float | None
    cost_per_million_tokens: float | None
    """Idle included, like the following, for the workload's output tokens; None of nobody's time."""
    cost_per_million_accepted: float | None
    """For its drafted tokens that were accepted; None where it does not draft."""
    energy_j_per_token: float | None
    energy_j_per_accepted: float | None


@record
class PartPrice:
    """What one part of a workload's service costs over all devices, their idle time included."""

    part: Part
    cost_per_hour: float
    power_w: float | None
    cost_per_million_tokens: float | None
    """For output tokens; `accepted`: for drafted tokens that were accepted, None where none are drafted."""
    cost_per_million_accepted: float | None
    energy_j_per_token: float | None
    energy_j_per_accepted: float | None


@record
class WorkloadPrice:
    """What a workload's service costs, by part: what a provider would have to ask for it."""

    workload: str
    tokens_per_s: float
    accepted_per_s: float | None
    """Drafted tokens that were accepted; None where it does not draft."""
    cost_per_hour: float
    power_w: float | None
    parts: tuple[PartPrice, ...]
    bytes_per_token: float | None
    """What its network traffic is; the scenario has no price for it."""
    sentence: str
    """The price of verification (of decoding, where it does not draft) in words."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one workload has the devices of one type do."""

    workload: str
    spending: Spending
    devices: float
    """How many of them are at it at once, on average."""
    active_w: float | None
    """What one of them draws meanwhile."""


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """All devices of one type, and what they are at."""

    device: str
    count: int
    cost_per_hour: float
    """Of one."""
    idle_w: float | None
    """Of one."""
    work: tuple[Work, ...]

    @property
    def idle(self) -> float:
        """How many are idle, on average."""
        return max(self.count - sum(one.devices for one in self.work), 0.0)


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Of one workload, a second."""

    output: float
    accepted: float | None
    """Drafted and accepted; None where it does not draft."""


def energy_parts(times: Sequence[DeviceTime], tokens_per_s: float) -> tuple[EnergyPart, ...]:
    """A row a device type, workload and thing that energy was spent on; the sum is the fleet's."""
    rows: list[tuple[str, str, str | None, float | None]] = []
    for time in times:
        rows += [
            (time.device, one.spending, one.workload, _power(one.devices, one.active_w))
            for one in time.work
            if one.devices > 0.0
        ]
        if time.idle > 0.0:
            rows.append((time.device, "idle", None, _power(time.idle, time.idle_w)))
    known = [power_w for *_, power_w in rows if power_w is not None]
    total_w = sum(known) if len(known) == len(rows) else None
    return tuple(
        EnergyPart(
            device=device,
            part=part,
            workload=workload,
            energy_j_per_token=power_w / tokens_per_s if power_w is not None and tokens_per_s > 0.0 else None,
            share=power_w / total_w if power_w is not None and total_w else None,
        )
        for device, part, workload, power_w in rows
    )


def workload_powers(times: Sequence[DeviceTime]) -> dict[str, float | None]:
    """W of every workload, each device type's idle time shared in proportion to its busy time; None: not known.

    With the idle power of types that nobody uses, the sum is the fleet's.
    """
    found: dict[str, float | None] = {}
    for time in times:
        idle = time.idle
        busy = sum(one.devices for one in time.work)
        for one in time.work:
            if one.devices > 0.0:
                parts = (_power(one.devices, one.active_w), _power(idle * one.devices / busy, time.idle_w))
                found[one.workload] = _sum([found.get(one.workload, 0.0), *parts])
    return found


def attribution(times: Sequence[DeviceTime], tokens: Mapping[str, TokenRates]) -> tuple[AttributedPart, ...]:
    """A row a device type, workload and part, and one of each type's idle time.

    The idle time of a type that nobody uses stays nobody's in the columns with idle time too.
    """
    found: list[AttributedPart] = []
    for time in times:
        merged: dict[tuple[str, Part], list[Work]] = {}
        for one in time.work:
            if one.devices > 0.0:
                merged.setdefault((one.workload, PART_OF[one.spending]), []).append(one)
        busy = sum(one.devices for group in merged.values() for one in group)
        found += [_row(time, name, part, group, busy, tokens[name]) for (name, part), group in merged.items()]
        if time.idle > 0.0:
            found.append(_idle_row(time, shared=busy > 0.0))
    return tuple(found)


def workload_prices(
    rows: Sequence[AttributedPart], tokens: Mapping[str, TokenRates], bytes_per_token: Mapping[str, float | None]
) -> tuple[WorkloadPrice, ...]:
    """The rows of each workload added up over devices; what is nobody's is left out."""
    found = []
    for name, rates in tokens.items():
        mine = [row for row in rows if row.workload == name]
        if not mine:
            continue
        parts = tuple(
            _part_price(part, [row for row in mine if row.part == part]) for part in dict.fromkeys(r.part for r in mine)
        )
        found.append(
            WorkloadPrice(
                workload=name,
                tokens_per_s=rates.output,
                accepted_per_s=rates.accepted,
                cost_per_hour=sum(part.cost_per_hour for part in parts),
                power_w=_sum([part.power_w for part in parts]),
                parts=parts,
                bytes_per_token=bytes_per_token.get(name),
                sentence=price_words(parts),
            )
        )
    return tuple(found)


def price_words(parts: Sequence[PartPrice]) -> str:
    """Like for like first, a million output tokens in all, then what verification costs a million accepted tokens.

    "1.85 a million output tokens; verification costs 2.1 and takes .52 kWh a million accepted tokens, with drafting …".
    """
    verify = next((part for part in parts if part.part == "verify"), None)
    decode = next((part for part in parts if part.part == "decode"), None)
    if verify is not None and verify.cost_per_million_accepted is not None:
        cost, energy_j = verify.cost_per_million_accepted, verify.energy_j_per_accepted
        what, of = "verification costs", " a million accepted tokens"
        whole = _sum([part.cost_per_million_accepted for part in parts])
        others = [{"draft": "drafting", "prefill": "prefill"}[p.part] for p in parts if p.part in ("draft", "prefill")]
        if others and whole is not None:
            of += f", with {' and '.join(sorted(others))} {_three(whole)}"
    elif decode is not None and decode.cost_per_million_tokens is not None:
        cost, energy_j = decode.cost_per_million_tokens, decode.energy_j_per_token
        what, of = "decoding them costs", ""
    else:
        return "no price: no token was counted"
    in_all = _sum([part.cost_per_million_tokens for part in parts])
    alike = "" if in_all is None else f"{_three(in_all)} a million output tokens in all; "
    energy = "" if energy_j is None else f" and takes {_three(energy_j / J_PER_KWH * 1e6)} kWh"
    return f"{alike}{what} {_three(cost)}{energy}{of}; idle time included"


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.3g}"


def _part_price(part: Part, rows: Sequence[AttributedPart]) -> PartPrice:
    return PartPrice(
        part=part,
        cost_per_hour=sum(row.cost_with_idle_per_hour for row in rows),
        power_w=_sum([row.power_with_idle_w for row in rows]),
        cost_per_million_tokens=_sum([row.cost_per_million_tokens for row in rows]),
        cost_per_million_accepted=_sum([row.cost_per_million_accepted for row in rows]),
        energy_j_per_token=_sum([row.energy_j_per_token for row in rows]),
        energy_j_per_accepted=_sum([row.energy_j_per_accepted for row in rows]),
    )


def _row(
    time: DeviceTime, workload: str, part: Part, group: Sequence[Work], busy: float, tokens: TokenRates
) -> AttributedPart:
    devices = sum(one.devices for one in group)
    idle = time.idle * devices / busy
    power_w = _sum([_power(one.devices, one.active_w) for one in group])
    with_idle_w = _sum([power_w, _power(idle, time.idle_w)])
    cost = (devices + idle) * time.cost_per_hour
    return AttributedPart(
        device=time.device,
        workload=workload,
        part=part,
        busy_share=devices / time.count,
        cost_per_hour=devices * time.cost_per_hour,
        cost_with_idle_per_hour=cost,
        power_w=power_w,
        power_with_idle_w=with_idle_w,
        cost_per_million_tokens=_over(cost / S_PER_HOUR * 1e6, tokens.output),
        cost_per_million_accepted=_over(cost / S_PER_HOUR * 1e6, tokens.accepted),
        energy_j_per_token=_over(with_idle_w, tokens.output),
        energy_j_per_accepted=_over(with_idle_w, tokens.accepted),
    )


def _idle_row(time: DeviceTime, *, shared: bool) -> AttributedPart:
    power_w = _power(time.idle, time.idle_w)
    cost = time.idle * time.cost_per_hour
    return AttributedPart(
        device=time.device,
        workload=None,
        part="idle",
        busy_share=0.0,
        cost_per_hour=cost,
        cost_with_idle_per_hour=0.0 if shared else cost,
        power_w=power_w,
        power_with_idle_w=0.0 if shared else power_w,
        cost_per_million_tokens=None,
        cost_per_million_accepted=None,
        energy_j_per_token=None,
        energy_j_per_accepted=None,
    )


def _power(devices: float, watts: float | None) -> float | None:
    if devices == 0.0:
        return 0.0
    return None if watts is None else devices * watts


def _sum(values: Sequence[float | None]) -> float | None:
    """Unknown if a part is."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _over(value: float | None, rate: float | None) -> float | None:
    return value / rate if value is not None and rate else None
