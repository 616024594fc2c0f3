"""Studies made by hand: plausible ones with every field filled, the least one, and a hostile one."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Interval,
    Performance,
    Quantiles,
    RoundParts,
    WorkloadPerformance,
)
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.study import (
    AcceptanceEvidence,
    Agreement,
    BudgetCheck,
    InputHash,
    LoadCurve,
    LoadPoint,
    MapCell,
    ModeMap,
    Option,
    ProfileEvidence,
    Provenance,
    Study,
    TippingPoint,
    Verdict,
    WorkloadParts,
)
from dsd_plan.domain.study_outlook import DraftWorth, ParetoPoint

SURVIVAL = (0.78, 0.635, 0.53, 0.447, 0.381, 0.326, 0.28, 0.241)


def tokens_a_round(window: int, acceptance: float) -> float:
    return sum(acceptance**position for position in range(window + 1))


def round_ms(mode: str, window: int, rtt_ms: float) -> float:
    if mode == "target_only":
        return 25.4
    return 3.1 * window + 24.0 + 1.05 * (window + 1) + (rtt_ms if mode == "distributed" else 22.0)


def tpot_ms(mode: str, window: int, rtt_ms: float, acceptance: float, saturation: float) -> float | None:
    """A latency of the right shape: flat, then steep, then none."""
    if saturation >= 1:
        return None
    tokens = 1.0 if mode == "target_only" else tokens_a_round(window, acceptance)
    return round_ms(mode, window, rtt_ms) * (1 + 0.4 * saturation / (1 - saturation)) / tokens


LOAD_A_UNIT = {"target_only": 0.62, "fused": 0.55, "distributed": 0.41}


def performance(source: str, mode: str, window: int | None, *, shift: float = 1.0, rtt_ms: float = 20.0) -> Performance:
    saturation = LOAD_A_UNIT[mode] * shift
    mean = (tpot_ms(mode, window or 0, rtt_ms, 0.72, saturation) or 0.0) * shift
    ttft = 210.0 * (1 + 0.3 * saturation / (1 - saturation)) * shift
    replayed = source == "replay"
    ends = {"ttft_ms.mean": ttft, "ttft_ms.p95": ttft * 1.9, "tpot_ms.mean": mean, "tpot_ms.p95": mean * 1.32}
    share = {"target_only": 0.913, "fused": 0.972, "distributed": 0.988}[mode]
    return Performance(
        source=source,
        workloads=(
            WorkloadPerformance(
                name="chat",
                requests=16000 if replayed else None,
                ttft_ms=Quantiles(mean=ttft, p50=ttft * 0.92, p95=ttft * 1.9, p99=ttft * 2.6),
                tpot_ms=Quantiles(mean=mean, p50=mean * 0.98, p95=mean * 1.32, p99=mean * 1.51),
                itl_ms=Quantiles(mean=mean * 2.6, p50=mean * 2.5, p95=mean * 3.4, p99=mean * 4.1),
                e2e_ms=Quantiles(
                    mean=ttft + 127 * mean, p50=ttft + 125 * mean, p95=ttft * 1.9 + 160 * mean, p99=2600 + 190 * mean
                ),
                requests_per_s=2.4,
                tokens_per_s=307.0,
                goodput_per_s=2.4 * share,
                slo_attainment=share,
                tokens_per_round=None if mode == "target_only" else 2.94,
                acceptance_rate=None if mode == "target_only" else 0.512,
                rounds_per_request=None if mode == "target_only" else 43.2,
                energy_j_per_token=None,
                bytes_per_token=4.0 if mode == "target_only" else 41.0,
                round_parts=None,
                ci={key: (value * 0.985, value * 1.016) for key, value in ends.items()} if replayed else None,
                origin={"draft_step": "measured", "verify_step": "declared", "acceptance": "measured"},
            ),
        ),
        devices=(
            DevicePerformance(
                name="edge-box",
                saturation=0.33 if mode == "distributed" else None,
                busy=0.31,
                mean_batch=1.0,
                power_w=None,
            ),
            DevicePerformance(name="gpu-server", saturation=saturation, busy=0.86, mean_batch=4.2, power_w=None),
        ),
        fleet=FleetPerformance(
            tokens_per_s=307.0,
            goodput_per_s=2.4 * share,
            power_w=None,
            energy_j_per_token=None,
            cost_per_hour={"target_only": 8.0, "fused": 8.0, "distributed": 5.2}[mode],
            cost_per_million_tokens={"target_only": 7.24, "fused": 7.24, "distributed": 4.71}[mode],
        ),
        notes=(
            ("95 % intervals over 8 replications of 2,000 requests, common random numbers between plans.",)
            if replayed
            else ("TTFT leaves out the time a request spends in the client's own queue.",)
        ),
    )


def curve(mode: str, window: int) -> LoadCurve:
    points = []
    for step in range(1, 26):
        load = step / 10
        saturation = LOAD_A_UNIT[mode] * load
        mean = tpot_ms(mode, window, 20.0, 0.72, saturation)
        ttft = None if saturation >= 1 else 399.0 * (1 + 0.3 * saturation / (1 - saturation))
        points.append(
            LoadPoint(
                load=load,
                saturation=saturation,
                ttft_p95_ms=ttft,
                tpot_mean_ms=mean,
                tpot_p95_ms=None if mean is None else mean * 1.32,
            )
        )
    return LoadCurve(workload="chat", mode=mode, window=window, points=tuple(points))


def best_cell(x: float, y: float, rtt_ms: float, acceptance: float, load: float) -> MapCell:
    best: dict[str, tuple[float, int]] = {}
    for mode in ("target_only", "fused", "distributed"):
        for window in (0,) if mode == "target_only" else range(1, 9):
            value = tpot_ms(mode, window, rtt_ms, acceptance, LOAD_A_UNIT[mode] * load)
            if value is not None and value < best.get(mode, (1e9, 0))[0]:
                best[mode] = (value, window)
    order = sorted(best, key=lambda mode: best[mode][0])
    winner = order[0] if order else "target_only"
    rival = best[order[1]][0] if len(order) > 1 else None
    return MapCell(
        x=x,
        y=y,
        mode=winner,
        window=best[winner][1] if order else 0,
        margin=None if rival is None else rival / best[winner][0] - 1,
        tpot_ms={mode: best[mode][0] if mode in best else None for mode in LOAD_A_UNIT},
    )


RTTS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 160.0, 240.0)


def maps() -> tuple[ModeMap, ...]:
    acceptances = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    loads = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    return (
        ModeMap(
            workload="chat",
            title="mode and window over RTT and acceptance",
            x_name="rtt_ms",
            y_name="acceptance",
            here=(20.0, 0.72),
            cells=tuple(best_cell(rtt, a, rtt, a, 1.0) for a in acceptances for rtt in RTTS),
        ),
        ModeMap(
            workload="chat",
            title="mode and window over RTT and load",
            x_name="rtt_ms",
            y_name="load",
            here=(20.0, 1.0),
            cells=tuple(best_cell(rtt, load, rtt, 0.72, load) for load in loads for rtt in RTTS),
        ),
    )


def plan_of(mode: str, window: int | None) -> Plan:
    draft = {"target_only": None, "fused": "gpu-server", "distributed": "edge-box"}[mode]
    deployments = [
        Deployment(device="gpu-server", model="target-7b", count=2 if mode == "distributed" else 4, batch_cap=16)
    ]
    if draft is not None:
        deployments.append(Deployment(device=draft, model="draft-70m", count=12 if mode == "distributed" else 4))
    return Plan(
        scenario="two-clinics",
        assignments=(
            Assignment(
                workload="chat",
                mode=mode,
                target_device="gpu-server",
                draft_model=None if draft is None else "draft-70m",
                draft_device=draft,
                window=window,
            ),
        ),
        deployments=tuple(deployments),
    )


def option(name: str, mode: str, window: int | None, reason: str, *, chosen: bool = False) -> Option:
    seen = performance("replay", mode, window)
    return Option(
        name=name,
        chosen=chosen,
        plan=plan_of(mode, window),
        predicted=performance("model", mode, window, shift=1.02),
        replayed=seen,
        devices={"gpu-server": 2, "edge-box": 24} if mode == "distributed" else {"gpu-server": 4},
        cost_per_hour=seen.fleet.cost_per_hour,
        reason=reason,
    )


def options() -> tuple[Option, ...]:
    return (
        option(
            "do nothing: plain decoding on the target",
            "target_only",
            None,
            "TPOT p95 55.4 ms breaks its budget of 45 ms",
        ),
        option("draft beside the target", "fused", 4, "keeps every budget, but needs 4 servers: 8.00 an hour"),
        option(
            "draft at the edge", "distributed", 4, "cheapest plan that keeps every budget: 5.20 an hour", chosen=True
        ),
        Option(
            name="head or n-gram on the target",
            chosen=False,
            plan=None,
            predicted=None,
            reason="not assessed: heads and n-gram tables are not supported yet, and no number is made up for them",
        ),
        Option(
            name="edge alone",
            chosen=False,
            plan=None,
            predicted=None,
            reason="not assessed: the draft's own text is another answer than the target's, and its quality was not "
            "measured",
        ),
        Option(
            name="all drafts lost at peak",
            chosen=False,
            plan=plan_of("target_only", None),
            predicted=None,
            devices={"gpu-server": 2},
            cost_per_hour=4.0,
            reason="while every draft device is down, the rest has no steady state: gpu-server at saturation 1.24",
        ),
    )


def agreements() -> tuple[Agreement, ...]:
    rows = (
        ("ttft_ms.mean", 244.0, 252.0, 3.9, 0.05, "agrees"),
        ("ttft_ms.p95", 437.0, 482.0, 8.0, 0.1, "undecided"),
        ("tpot_ms.mean", 27.7, 27.4, 0.43, 0.05, "agrees"),
        ("tpot_ms.p95", 36.6, 36.1, 0.56, 0.1, "agrees"),
        ("tokens_per_round", 2.93, 2.94, 0.012, 0.05, "agrees"),
        ("e2e_ms.mean", 3780.0, 3730.0, 41.0, 0.05, "agrees"),
    )
    return tuple(
        Agreement(
            workload="chat",
            metric=metric,
            predicted=predicted,
            observed=Interval(point=seen, low=seen - half, high=seen + half),
            relative_error=predicted / seen - 1,
            tolerance=tolerance,
            verdict=verdict,
        )
        for metric, predicted, seen, half, tolerance, verdict in rows
    )


def acceptance() -> tuple[AcceptanceEvidence, ...]:
    return (
        AcceptanceEvidence(
            draft="draft-70m",
            target="target-7b",
            source="token trace",
            proposal="argmax",
            temperature=1.0,
            tokens=18432,
            requests=96,
            survival=SURVIVAL,
            survival_low=tuple(s - 0.012 - 0.001 * at for at, s in enumerate(SURVIVAL)),
            survival_high=tuple(s + 0.012 + 0.001 * at for at, s in enumerate(SURVIVAL)),
            tasks={"code": 0.81, "prose": 0.69, "tables": 0.84},
        ),
    )


def profiles() -> tuple[ProfileEvidence, ...]:
    return (
        ProfileEvidence(
            device="edge-box",
            model="draft-70m",
            origin="measured",
            points=24,
            samples=1296,
            decode_ms=3.08,
            fit_mean_error=0.041,
            fit_max_error=0.112,
            measured_at="2026-03-02T09:14:00Z",
            method={"cpu": "8-core", "threads": 1, "drift": 0.012, "contention": False, "seconds": 61.2},
        ),
        ProfileEvidence(
            device="gpu-server",
            model="target-7b",
            origin="declared",
            points=0,
            samples=0,
            decode_ms=25.05,
            fit_mean_error=None,
            fit_max_error=None,
            measured_at=None,
            method=None,
        ),
    )


def full_study() -> Study:
    """Speculation at the edge pays: the declared target is slow enough for a round trip."""
    return Study(
        name="two-clinics",
        scenario={
            "name": "two-clinics",
            "sites": [{"name": "clinic", "count": 2}, {"name": "region"}],
            "links": [{"between": ["clinic", "region"], "rtt_ms": 20.0, "jitter_cv": 0.2}],
            "devices": [
                {"name": "edge-box", "site": "clinic", "count": 12, "cost_per_hour": 0.05},
                {"name": "gpu-server", "site": "region", "count": 4, "cost_per_hour": 2.0},
            ],
            "workloads": [
                {
                    "name": "chat",
                    "site": "clinic",
                    "target": "target-7b",
                    "requests": {"rate_per_s": 1.2, "prompt_tokens": 300, "output_tokens": 128},
                }
            ],
            "search": {"minimize": "cost"},
        },
        plan=plan_of("distributed", 4),
        predicted=performance("model", "distributed", 4, shift=1.01),
        replayed=performance("replay", "distributed", 4),
        measured=None,
        agreements=agreements(),
        verdict=Verdict(
            answer="yes",
            sentence="Draft at the clinics with window 4: p95 TPOT 36.1 ms (35.6–36.7) for a budget of 45 ms, "
            "2 GPU servers instead of 4, and 2.80 an hour less.",
            saves={"tpot_share": 0.35, "cost_per_hour": 2.8, "devices": -22.0},
            measure_next="The target's step time is declared: measure it on the real part for 20 minutes.",
        ),
        budgets=(
            BudgetCheck(
                scope="chat",
                budget="ttft_p95_ms",
                limit=800.0,
                predicted=437.0,
                replayed=Interval(point=482.0, low=474.0, high=490.0),
                kept=True,
            ),
            BudgetCheck(
                scope="chat",
                budget="tpot_p95_ms",
                limit=45.0,
                predicted=36.6,
                replayed=Interval(point=36.1, low=35.6, high=36.7),
                kept=True,
            ),
            BudgetCheck(
                scope="fleet",
                budget="cost_per_hour",
                limit=10.0,
                predicted=5.2,
                replayed=Interval(point=5.2, low=5.2, high=5.2),
                kept=True,
            ),
        ),
        options=options(),
        alternatives=(
            option("distributed, window 4", "distributed", 4, "chosen", chosen=True),
            option("fused, window 4", "fused", 4, "costs 2.80 an hour more"),
            option("target only", "target_only", None, "TPOT p95 55.4 ms breaks its budget of 45 ms"),
        ),
        equivalents=(option("distributed, window 5", "distributed", 5, "1.1 % slower, within the error of 2.0 %"),),
        pareto=(
            ParetoPoint(
                mode="distributed",
                window="4",
                cost_per_hour=5.2,
                devices=10,
                tpot_ms=27.4,
                energy_j_per_token=None,
                chosen=True,
            ),
            ParetoPoint(mode="fused", window="4", cost_per_hour=8.0, devices=2, tpot_ms=32.9, energy_j_per_token=None),
        ),
        optimality_gap=0.0,
        bound_scope="every combination of the 19 candidates with every number of replicas, under the model",
        curves=(curve("target_only", 0), curve("fused", 4), curve("distributed", 4)),
        maps=maps(),
        round_parts=(
            WorkloadParts(
                workload="chat",
                mode="distributed",
                parts=RoundParts(draft_ms=12.4, uplink_ms=10.1, wait_ms=9.6, verify_ms=30.2, downlink_ms=10.1),
            ),
            WorkloadParts(
                workload="chat",
                mode="fused",
                parts=RoundParts(draft_ms=12.4, uplink_ms=0.0, wait_ms=17.9, verify_ms=31.0, downlink_ms=0.0),
            ),
            WorkloadParts(
                workload="chat",
                mode="target_only",
                parts=RoundParts(draft_ms=0.0, uplink_ms=0.0, wait_ms=12.4, verify_ms=25.4, downlink_ms=0.0),
            ),
        ),
        tipping_points=(
            TippingPoint(
                workload="chat", input="rtt_ms", now=20.0, tips_at=63.0, searched=(1.0, 400.0), becomes="fused"
            ),
            TippingPoint(
                workload="chat", input="acceptance", now=0.72, tips_at=0.49, searched=(0.05, 0.99), becomes="fused"
            ),
            TippingPoint(workload="chat", input="load", now=1.0, tips_at=None, searched=(0.1, 4.0), becomes=None),
        ),
        draft_worth=(
            DraftWorth(
                draft="llama-1b",
                target="llama-70b",
                acceptance_now=0.72,
                acceptance_then=0.77,
                plan_now="distributed, window 4 (8 × edge-box, 2 × h200)",
                plan_then="distributed, window 5 (8 × edge-box, 2 × h200)",
                saves_cost_per_hour=0.0,
                saves_tpot_ms=2.1,
                saves_energy_j_per_token=0.07,
                saves_devices=0,
            ),
        ),
        acceptance=acceptance(),
        profiles=profiles(),
        story=(
            "19 candidates for 1 workload, 304 plans judged by the model in 0.4 s.",
            "Replayed the best 3: the model was 1.5 % high on TPOT p95; corrected, and searched again.",
            "The choice did not change.",
        ),
        provenance=Provenance(
            version="0.1.0",
            command="dsd-plan optimize two-clinics.toml -o study.json --seed 1",
            seed=1,
            inputs=(
                InputHash(path="two-clinics.toml", sha256="9f2c" * 16),
                InputHash(path="profiles/edge-box/draft-70m.json", sha256="41bd" * 16),
                InputHash(path="traces/draft-70m_target-7b.parquet", sha256="e07a" * 16),
            ),
            machine={"cpu": "8-core", "cores": "8", "python": "3.11.9", "system": "Linux 6.1"},
            created_at="2026-03-02T09:20:00Z",
        ),
    )


def measured_study() -> Study:
    """The same fleet with a target so quick that a round trip never pays."""
    study = full_study()
    seen = performance("replay", "target_only", None, shift=0.9)
    broken = replace(
        study.budgets[1], limit=22.0, predicted=29.1, replayed=Interval(point=28.9, low=28.3, high=29.5), kept=False
    )
    return replace(
        study,
        name="this machine",
        plan=plan_of("target_only", None),
        predicted=performance("model", "target_only", None, shift=0.91),
        replayed=seen,
        verdict=Verdict(
            answer="no",
            sentence="Do not speculate here: at the same cost, mean TPOT would be 110 % ± 2.1 % higher than plain "
            "decoding's; from the edge, at 20 ms round trip a round of window 4 takes 31.2 ms for 2.94 tokens, which "
            "would not pay even without a network; decode plainly: p95 TPOT 28.9 ms (28.3–29.5) for a budget of 22.",
            saves={"tpot_share": -1.1, "cost_per_hour": 0.0, "devices": 0.0},
        ),
        budgets=(study.budgets[0], broken),
        options=(
            replace(study.options[0], chosen=True, reason="fastest and cheapest: nothing has to be added"),
            replace(study.options[1], reason="2.1 times slower: the draft costs as much as the target"),
            replace(study.options[2], chosen=False, reason="3.0 times slower: a round trip takes 20 ms"),
        ),
        profiles=(study.profiles[0], replace(study.profiles[0], device="gpu-server", model="target-7b", decode_ms=1.2)),
    )


def tiny_study() -> Study:
    """The least a study can hold."""
    study = full_study()
    quiet = replace(study.predicted, source="replay")
    return replace(
        study,
        name="tiny",
        scenario={},
        replayed=quiet,
        agreements=(),
        verdict=Verdict(answer="undecided", sentence="Undecided: the data cannot tell.", saves={}),
        budgets=(),
        options=(),
        alternatives=(),
        equivalents=(),
        pareto=(),
        optimality_gap=None,
        curves=(),
        maps=(),
        round_parts=(),
        tipping_points=(),
        draft_worth=(),
        acceptance=(),
        profiles=(),
        story=(),
        provenance=replace(study.provenance, inputs=(), machine={}, created_at=None),
    )


ATTACK = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    "\"'`&amp;%{x}<b>b</b>$x^2$\u202eevil\u2066\x1b[31m\x00|# "
)
"""Tags, quotes, entities, templates, writing direction, terminal escapes, and (padded) 500 characters."""


def attack(label: str) -> str:
    return (label + ATTACK + "שלום " + "x" * 500)[:500]


KEPT_WORDS = {
    *(
        "target_only",
        "fused",
        "distributed",
        "pipelined",
        "edge_only",
        "model",
        "replay",
        "testbed",
        "jsq",
        "static",
        "fifo",
    ),
    *("acceptance", "draft", "prefill", "verify", "decode", "idle", "drafts rejected", "compute", "draft_device"),
    *("measured", "interpolated", "extrapolated", "declared", "agrees", "disagrees", "undecided", "yes", "no"),
}


def hostile(value: Any, field: str = "") -> Any:
    """The same study with every free text replaced by an attack; the same name gives the same attack."""
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: hostile(getattr(value, f.name), f.name) for f in fields(value)}
        return replace(value, **changed)
    if isinstance(value, tuple | list):
        return type(value)(hostile(item, field) for item in value)
    if isinstance(value, dict):
        if field in {"ci", "origin", "tpot_ms"}:
            return value
        return {key if field == "scenario" else attack(str(key)): hostile(item) for key, item in value.items()}
    if isinstance(value, str) and value not in KEPT_WORDS and field not in {"metric", "budget", "sha256"}:
        return attack(value)
    return value
