"""Section 2: what to run where, and which budgets that keeps."""

from __future__ import annotations

from dsd_plan.domain.plan import Assignment, Deployment
from dsd_plan.domain.profile import Origin
from dsd_plan.domain.study import BudgetCheck, Study
from dsd_plan.report.blocks import Block, Prose, Section
from dsd_plan.report.fleet_picture import fleet_figure
from dsd_plan.report.markup import isolated, printable
from dsd_plan.report.numbers import METRICS, STATISTICS, UNKNOWN, given_quantity, interval, label, quantity
from dsd_plan.report.reading import (
    MANY,
    best_known,
    budget_value,
    find,
    is_floor,
    judged_together,
    latency,
    mode_name,
    nearest_first,
    origin_of,
    source_name,
    tightest,
    used_up,
    workload_of,
)
from dsd_plan.report.spread import spread_charts
from dsd_plan.report.tables import Cell, Number, Table, Words, given_cell, kept_html, named, quantity_cell

ROUTINGS = {
    "jsq": "shortest queue",
    "round_robin": "in turn",
    "random": "at random",
    "power_of_two": "shorter of two queues",
    "least_expected_delay": "least expected delay",
    "weighted": "at random, by speed",
}
POLICIES = {"static": "fixed"}


def plan_section(study: Study) -> Section:
    """Assignments, deployments, budgets and what users will see."""
    picture = fleet_figure(study)
    blocks: list[Block] = [*([picture] if picture else []), _assignments(study), _deployments(study)]
    engine = next((option.engine for option in study.options if option.chosen), None)
    if engine is not None:
        blocks.append(Prose(f"On engines of today: {printable(engine.sentence)}."))
    if study.budgets:
        blocks.append(budgets_table(study))
    else:
        blocks.append(Prose("The scenario sets no budgets, so nothing can be kept or broken."))
    blocks += [*spread_charts(study), _latencies(study), _rates(study)]
    return Section("plan", "What to run where", "What to run where", _so_what(study), tuple(blocks))


def _assignments(study: Study) -> Table:
    rows = tuple(_assignment(a) for a in study.plan.assignments)
    columns = ("Workload", "Share", "Mode", "Draft", "Target", "Window γ", "Window policy", "Replica chosen by")
    return Table("Who serves what", columns, rows, file="assignments")


def _assignment(a: Assignment) -> tuple[Cell, ...]:
    draft: Cell = UNKNOWN
    if a.draft_model is not None:
        place = a.draft_device or a.target_device
        routed = "" if a.draft_routing is None else f", {ROUTINGS.get(a.draft_routing, a.draft_routing)}"
        draft = named(f"{a.draft_model} on {place}{routed}")
    return (
        named(a.workload),
        Number(a.share, "%", given=True),
        mode_name(a.mode),
        draft,
        named(a.target_device),
        Number(a.window, "#"),
        POLICIES.get(a.policy.kind, a.policy.kind) if a.window is not None else UNKNOWN,
        ROUTINGS.get(a.routing, a.routing),
    )


def _deployments(study: Study) -> Table:
    rows = tuple(_deployment(study, d) for d in study.plan.deployments)
    columns = ("Device", "Site", "Model", "Step time", "Replicas a site", "There are", "Batch cap")
    return Table("What runs on which devices", columns, rows, file="deployments")


def _deployment(study: Study, d: Deployment) -> tuple[Cell, ...]:
    device = find(study.scenario, "devices", "name", d.device)
    profile = next((p for p in study.profiles if (p.device, p.model) == (d.device, d.model)), None)
    site, there = device.get("site"), device.get("count")
    cap = d.batch_cap if d.batch_cap is not None else device.get("batch_cap")
    return (
        named(d.device),
        named(site) if site else UNKNOWN,
        named(d.model),
        Number(profile.decode_ms if profile else None, "ms", profile_origin(profile.origin) if profile else None),
        Number(d.count, "#"),
        Number(there if isinstance(there, int) else None, "#"),
        Number(cap if isinstance(cap, int) else None, "#", unknown="default"),
    )


def profile_origin(origin: str) -> Origin:
    """The mark of a profile: an imported one was measured elsewhere and lies between declared and measured points."""
    return "declared" if origin == "declared" else "measured"


def budgets_table(study: Study) -> Table:
    """A row a budget: limit, model, replay, and whether it is kept."""
    ordered = study.budgets
    if len(ordered) > MANY:
        ordered = tuple(sorted(ordered, key=lambda check: (check.kept, -used_up(check))))
    both = ("Together", "Its 95 % interval", "Chance broken") if judged_together(study) else ()
    columns = ("Scope", "Budget", "Limit", "Model", "Replay", "95 % interval", *both, "Kept")
    return Table("Which budgets are kept", columns, tuple(_budget(study, b) for b in ordered), file="budgets")


def _budget(study: Study, check: BudgetCheck) -> tuple[Cell, ...]:
    seen = workload_of(best_known(study), check.scope)
    origin = origin_of(study, study.plan, seen, check.budget) if seen else None
    return (
        named(check.scope),
        f"{label(check.budget)} {'at least' if is_floor(check.budget) else 'at most'}",
        given_cell(check.budget, check.limit),
        quantity_cell(check.budget, check.predicted),
        quantity_cell(check.budget, check.replayed.point if check.replayed else None, origin),
        interval(check.budget, check.replayed),
        *_both(study, check, origin),
        Words(kept_html(check.kept), "kept" if check.kept else "broken"),
    )


def _both(study: Study, check: BudgetCheck, origin: Origin | None) -> tuple[Cell, ...]:
    """Of many workloads: what model and replay say together, by which a budget is judged."""
    if not judged_together(study):
        return ()
    point = None if check.together is None else check.together.point
    return (
        quantity_cell(check.budget, point, origin),
        interval(check.budget, check.together),
        Number(check.chance_broken, "%"),
    )


def _latencies(study: Study) -> Table:
    known = best_known(study)
    limits = {(check.scope, check.budget): check.limit for check in study.budgets}
    rows = []
    for workload in nearest_first(study, known.workloads):
        for stem, short in METRICS.items():
            cells: list[Cell] = []
            for statistic in STATISTICS:
                value = latency(workload, f"{stem}_{statistic}_ms")
                limit = limits.get((workload.name, f"{stem}_{statistic}_ms"))
                kept = None if limit is None or value is None else value <= limit
                origin = origin_of(study, study.plan, workload, f"{stem}_{statistic}_ms")
                cells.append(quantity_cell("ms", value, origin, kept))
            rows.append((named(workload.name), short, *cells))
    columns = ("Workload", "Latency", *STATISTICS)
    return Table(f"What users will see ({source_name(known)})", columns, tuple(rows), file="latencies")


def _rates(study: Study) -> Table:
    known = best_known(study)
    rows = tuple(
        (
            named(w.name),
            Number(w.requests_per_s),
            Number(w.tokens_per_s),
            Number(w.slo_attainment, "%"),
            Number(w.acceptance_rate, "%"),
            Number(w.tokens_per_round),
            Number(w.bytes_per_token),
        )
        for w in nearest_first(study, known.workloads)
    )
    columns = (
        *("Workload", "Requests a second", "Tokens a second", "Within budget", "Accepted", "Tokens a round"),
        "Bytes a token",
    )
    return Table(f"What the fleet delivers ({source_name(known)})", columns, rows, file="rates")


def _so_what(study: Study) -> str:
    if not study.replayed.steady:
        return "The replay found no steady state: as offered, this load would queue without bound."
    check = tightest(study.budgets)
    if check is None:
        return "Set budgets in the scenario, and the plan will be held to them."
    broken = [b for b in study.budgets if not b.kept]
    value = quantity(check.budget, budget_value(check))
    limit = given_quantity(check.budget, check.limit)
    what = f"{label(check.budget)} of {isolated(check.scope)}"
    if broken:
        return f"{len(broken)} of {len(study.budgets)} budgets are broken; worst is {what}: {value} for {limit}."
    if any(check.undecided for check in study.budgets):
        sure = sum(not check.undecided for check in study.budgets)
        undecided = f"{sure:,} of {len(study.budgets):,} budgets are surely kept, the others more likely kept than not"
        return f"{undecided}; the tightest is {what}: {value} for {limit}."
    if len(study.budgets) == 1:
        return f"The budget is kept: {what} is {value} for {limit}."
    every = "Both" if len(study.budgets) == 2 else f"All {len(study.budgets)}"
    return f"{every} budgets are kept; the tightest is {what}: {value} for {limit}."
