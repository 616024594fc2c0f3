"""What leaves a site in each mode: text, ids or distributions, in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.numbers import UNKNOWN, given
from dsd_plan.report.reading import MODE_NAMES, best_known, mode_name
from dsd_plan.report.tables import Cell, Number, Table, named

PROMPT = "the prompt"
ANSWER = "the answer's tokens"
NOTHING = "nothing"
WIRES = {
    "ids": "the ids of γ proposed tokens (4 bytes each)",
    "ids_q": "the ids of γ proposed tokens and the probability of each (6 bytes each)",
    "topk": "the ids and probabilities of the likeliest tokens at each of γ places",
    "distributions": "γ distributions over the whole vocabulary (2 bytes a token of it)",
}
VERDICT = "how many were accepted and the target's own token (8 bytes)"
VERDICTS = {
    "ids_q": f"{VERDICT}; after a rejection the target's distribution too",
}
AGAIN = {
    "native": "",
    "reprompt": "; with every round the whole text so far, sent again",
    "target_pulls": "; the target asks the draft for its proposals",
}


def leaves_table(study: Study) -> Table | None:
    """A row a mode that the study searched or runs, and whom that concerns; None where it knows no mode."""
    search = study.scenario.get("search")
    searched = search.get("modes") if isinstance(search, dict) else None
    used = [assignment.mode for assignment in study.plan.assignments]
    modes = [mode for mode in MODE_NAMES if mode in used or mode in (searched or ())]
    if not modes:
        return None
    pair = _pair(study)
    rows: list[tuple[Cell, ...]] = []
    for mode in modes:
        mine = list(dict.fromkeys(a.workload for a in study.plan.assignments if a.mode == mode))
        whose = f"{len(mine):,} workloads" if len(mine) > 1 else named(mine[0]) if mine else UNKNOWN
        rows.append((mode_name(mode), *_flows(mode, pair), whose))
    columns = ("Mode", "Leaves the users' site once", "Leaves it every round", "Comes back", "In the plan for")
    return Table("What leaves a site?", columns, tuple(rows), file="what-leaves")


def _pair(study: Study) -> Mapping[str, Any]:
    """The pair that the plan runs, else the first."""
    pairs = [pair for pair in study.scenario.get("pairs") or () if isinstance(pair, dict)]
    drafts = {assignment.draft_model for assignment in study.plan.assignments}
    return next((pair for pair in pairs if pair.get("draft") in drafts), pairs[0] if pairs else {})


def _flows(mode: str, pair: Mapping[str, Any]) -> tuple[str, str, str]:
    if mode in ("target_only", "fused"):
        return PROMPT, NOTHING, f"{ANSWER}, as they come"
    if mode == "edge_only":
        return NOTHING, NOTHING, NOTHING
    wire = str(pair.get("wire") or "ids")
    up = WIRES.get(wire, wire)
    if wire == "topk" and pair.get("k"):
        up = f"the ids and probabilities of the {given(pair['k'])} likeliest tokens at each of γ places"
    up += AGAIN.get(str(pair.get("verify_via") or "native"), "")
    if mode == "pipelined":
        up += "; also of windows drafted ahead that are thrown away later"
    return PROMPT, up, VERDICTS.get(wire, VERDICT)


def traffic_table(study: Study) -> Table | None:
    """Bytes a token by workload; None where they are not known."""
    known = best_known(study)
    if all(workload.bytes_per_token is None for workload in known.workloads):
        return None
    sites = {str(w.get("name")): w for w in study.scenario.get("workloads") or () if isinstance(w, dict)}
    rows: list[tuple[Cell, ...]] = []
    for workload in sorted(known.workloads, key=lambda w: -(w.bytes_per_token or 0.0)):
        entry = sites.get(workload.name, {})
        allowed = entry.get("allowed_sites")
        where: Cell = "anywhere" if not allowed else named(", ".join(str(site) for site in allowed))
        modes = dict.fromkeys(mode_name(a.mode) for a in study.plan.assignments if a.workload == workload.name)
        site: Cell = named(entry["site"]) if entry.get("site") else UNKNOWN
        rows.append((named(workload.name), site, ", ".join(modes), Number(workload.bytes_per_token, "B"), where))
    columns = ("Workload", "Site", "Mode", "Sent and received for a token of the answer", "Its text may go")
    return Table("How much does each workload send?", columns, tuple(rows), file="traffic")


def reprompting_table(study: Study) -> Table | None:
    """What a round sends and prefills more where the context is sent again; None where no option says."""
    found = [(option, row) for option in study.options for row in option.reprompting]
    if not found:
        return None
    rows: list[tuple[Cell, ...]] = [
        (
            named(option.name),
            named(row.workload),
            Number(row.context_tokens),
            Number(row.bytes_per_round, "B"),
            Number(row.uplink_ms_per_round, "ms"),
            Number(row.prefill_ms_per_round, "ms"),
            Number(row.cached_prefill_ms_per_round, "ms"),
            Number(row.round_ms, "ms"),
        )
        for option, row in found
    ]
    columns = (
        *("Option", "Workload", "Context, tokens", "Sent a round more", "Uplink", "Prefill", "Prefill, cached"),
        "A round as planned",
    )
    return Table(
        "What would sending the context again with every round cost?", columns, tuple(rows), file="reprompting"
    )
