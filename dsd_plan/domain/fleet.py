"""What is there: sites, the links between them, models, and devices with their measured profiles."""

from __future__ import annotations

from math import ceil, floor
from typing import Literal

from dsd_plan.domain.link_profile import LinkProfile, link_values
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.records import Count, Flag, Name, Natural, NonNegative, Positive, Probability, record


@record
class Site:
    """A place in the network."""

    name: Name
    count: Count = 1
    """Identical copies of the place; links, devices, rates and users hold for each copy."""


@record
class RttTrace:
    """A measured round trip over time; replaces a link's mean and jitter."""

    at_s: tuple[NonNegative, ...]
    rtt_ms: tuple[NonNegative, ...]
    """Each holds until the next."""

    @property
    def length_s(self) -> float:
        """After which a longer run begins it again: the last row holds as long as a row does on average."""
        last_s = self.at_s[-1]
        return last_s + last_s / max(len(self.at_s) - 1, 1)

    @property
    def mean_ms(self) -> float:
        """Mean over time."""
        return self._mean(self.rtt_ms)

    @property
    def cv(self) -> float:
        """Standard deviation over time, over the mean."""
        mean_ms = self.mean_ms
        variance = self._mean(tuple((rtt_ms - mean_ms) ** 2 for rtt_ms in self.rtt_ms))
        return float(variance**0.5) / mean_ms if mean_ms > 0 else 0.0

    def _mean(self, values: tuple[float, ...]) -> float:
        length_s = self.length_s
        if length_s <= 0.0:
            return values[-1]
        ends_s = (*self.at_s[1:], length_s)
        held = zip(values, self.at_s, ends_s, strict=True)
        return sum(value * (end_s - at_s) for value, at_s, end_s in held) / length_s


@record
class Link:
    """A two-way connection. `up` is the direction from the first to the second named site."""

    between: tuple[Name, Name]
    rtt_ms: NonNegative | None = None
    """Mean round trip, half in each direction."""
    up_ms: NonNegative | None = None
    down_ms: NonNegative | None = None
    jitter_cv: Probability = 0.0
    """One-way delay = mean · (1 + cv · (E − 1)) with E ~ Exp(1)."""
    uplink_mbps: Positive | None = None
    """None: bandwidth does not limit."""
    downlink_mbps: Positive | None = None
    loss: Probability = 0.0
    """Probability that a message is lost; each loss costs one more mean round trip."""
    trace: RttTrace | None = None
    profile: LinkProfile | None = None
    """Where the numbers above come from; see `measured_link`."""

    @property
    def one_way_ms(self) -> tuple[float, float]:
        """Mean delay (first → second site, second → first site). The file check guarantees that it is known."""
        if self.trace is not None:
            return self.trace.mean_ms / 2, self.trace.mean_ms / 2
        if self.rtt_ms is not None:
            return self.rtt_ms / 2, self.rtt_ms / 2
        if self.up_ms is not None and self.down_ms is not None:
            return self.up_ms, self.down_ms
        raise ValueError(f"link {self.between}: no delay given")


def measured_link(between: tuple[str, str], profile: LinkProfile) -> Link:
    """A link whose every number is its profile's; it was measured at the first named site."""
    return Link(between=between, profile=profile, **link_values(profile))


@record
class ModelSpec:
    """A model's size in memory. A size that is not given is not checked against any device's memory."""

    name: Name
    weights_gib: NonNegative | None = None
    kv_mib_per_token: NonNegative | None = None
    vocabulary: Count | None = None
    """Tokens; needed where a pair's `wire` sends whole distributions."""


@record
class Device:
    """A device type at a site. It may do what it has a profile for; no role is stored."""

    name: Name
    site: Name
    count: Count
    memory_gib: Positive
    profiles: dict[Name, LatencyProfile]
    """By model name."""
    batch_cap: Count | None = None
    """Most jobs in one iteration; None: 64 as a target, 1 as a draft device."""
    token_cap: Count | None = None
    """Most new tokens in one iteration; a longer prefill is chunked. None: no cap."""
    idle_w: NonNegative | None = None
    cost_per_hour: NonNegative = 0.0
    commitment: Literal["owned", "reserved", "on_demand"] | None = None
    available: Probability = 1.0
    """Expected share that is up and willing."""
    max_sequences: Count | None = None
    kv_block_tokens: Count | None = None
    kv_blocks: Count | None = None
    async_scheduling: Flag | None = None
    prefix_cache: Flag | None = None

    @property
    def usable(self) -> int:
        """Of `count`, how many can be counted on: floor(count · available)."""
        return floor(self.count * self.available + 1e-9)

    def paid_for(self, working: int) -> int:
        """Devices that are paid for so that `working` of them can be counted on: working / available, rounded up."""
        return working if self.available in (0.0, 1.0) else ceil(working / self.available - 1e-9)


HOLD_S = 30.0


@record
class FaultWindow:
    """Something breaks at `at_s` for `for_s` seconds."""

    kind: Literal["link_down", "device_down", "slow_link", "slow_device"]
    at_s: NonNegative
    for_s: Positive
    between: tuple[Name, Name] | None = None
    device: Name | None = None
    index: Natural | None = None
    factor: Positive | None = None
    """With slow_link and slow_device: on delays, or on step times."""
    hold_s: NonNegative | None = None
    """With link_down: how long the target holds the KV of sessions that are cut off; None: HOLD_S."""
