"""What a study says of inputs other than today's: where the decision changes, and what would be worth having."""

from __future__ import annotations

from dsd_plan.domain.plan import Plan
from dsd_plan.domain.records import record


@record
class TippingPoint:
    """How far one input may move, all other inputs held, before the decision changes.

    The decision is the best plan of another mode being the better one: by what the scenario minimizes, among plans
    that keep every budget. At each value windows and replicas of every plan, the chosen one's too, are chosen anew.
    """

    workload: str
    """Whose input it is; "fleet" where it is no workload's own."""
    input: str
    """"rtt_ms", "acceptance", "load", "step_time" (times today's) or "cost_per_hour" (of one device)."""
    now: float
    tips_at: float | None
    """None: not within the range searched."""
    searched: tuple[float, float]
    becomes: str | None
    """A mode; workloads with their modes, where several change in their own ways; or "a budget breaks"."""
    of: str | None = None
    """The draft whose acceptance it is, or the device type whose step time or price."""
    window: int | None = None
    """Of the plan that takes over, where it has one."""
    why: str = ""
    """What the plan that takes over is ahead by, or which budget no plan keeps."""
    plan_breaks_at: float | None = None
    """Where the chosen plan as it is, nothing chosen anew, breaks a budget; None: not within the range searched."""
    target: str | None = None
    """The model that accepts, of an acceptance."""
    saves_nothing_at: float | None = None
    """Of an acceptance: where the best plan that drafts, chosen anew, is no better than plain decoding's by what the
    scenario minimizes; None: not within the range searched, or it is no better today, or no plain plan can be had."""


@record
class DraftWorth:
    """What a better-aligned draft would be worth: the best plan at a higher acceptance against today's.

    Negative savings are what the better plan takes more of, for the sake of what the scenario minimizes.
    """

    draft: str
    target: str
    acceptance_now: float
    """Of the first proposal of a round."""
    acceptance_then: float
    """Later proposals rise in proportion."""
    plan_now: str
    """Modes and windows in words."""
    plan_then: str
    saves_cost_per_hour: float
    saves_tpot_ms: float
    """Mean TPOT, weighted by the tokens that workloads ask for."""
    saves_energy_j_per_token: float | None
    """None: no power is known."""
    saves_devices: int


@record
class BadEnd:
    """One input at the bad end of what was measured of it."""

    input: str
    """"acceptance", "rtt_ms", "step_time" or "load"."""
    of: str
    """A pair, a link, a device and model, or "every workload"."""
    now: float
    """As measured: tokens a round at `window`, ms, or 1."""
    set_to: float
    source: str
    """Where the interval comes from, in words."""
    window: int | None = None
    """With acceptance: the window at which tokens a round are told."""


@record
class Robustness:
    """A plan for the bad end of the inputs, against the plan for the inputs as measured.

    Everything else in such a study is at the bad end.
    """

    inputs: tuple[BadEnd, ...]
    exact: tuple[str, ...]
    """Inputs of which no interval is known: they count as exact."""
    plain_plan: Plan
    """What would be chosen for the inputs as measured."""
    same_plan: bool
    plain_breaks: tuple[str, ...]
    """Budgets that the plain plan breaks at the bad end, by the model; "h200: saturated" where nothing is steady."""
    plain_cost_per_hour: float
    robust_cost_per_hour: float
    plain_tpot_ms: float | None
    """Mean TPOT with the inputs as measured, by the model, weighted by tokens."""
    robust_tpot_ms: float | None
    plain_energy_j_per_token: float | None
    robust_energy_j_per_token: float | None
    sentence: str


@record
class ParetoPoint:
    """A plan that no other one known beats in all axes of the front; it keeps every budget by the model."""

    mode: str
    """Of all workloads, the simplest first."""
    window: str | None
    cost_per_hour: float
    devices: int
    tpot_ms: float
    """Mean TPOT, weighted by the tokens that workloads ask for."""
    energy_j_per_token: float | None
    chosen: bool = False
    words: str = ""
    """Modes, windows and devices in a line."""
    plan: Plan | None = None
