"""Studies as flat tables, a row an observation: for spreadsheets, data frames and scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from dsd_plan.domain.performance import Performance, WorkloadPerformance
from dsd_plan.domain.study import Study

Row = dict[str, Any]
"""Column to text, number, truth or None."""

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")
NOT_NUMBERS = {"name", "round_parts", "ci", "origin", *LATENCIES}
IN_TABLES_OF_THEIR_OWN = {
    *("name", "scenario", "plan", "predicted", "replayed", "measured", "verdict", "options", "alternatives"),
    *("equivalents", "curves", "maps", "round_parts", "story", "provenance", "timeline", "capacity"),
}
"""Fields of a study that are not one list of flat records; what others add to a study becomes a table by itself."""
OF_CAPACITY = {"budgets": "budget_loads", "alone": "loads_alone"}
"""Its tables that have other names than the capacity's fields."""
OF_AN_OPTION_ELSEWHERE = {"plan", "predicted", "replayed", "devices"}
ENDS = {"point": "", "low": "_low", "high": "_high"}
"""An interval's fields as columns; its level is 95 % everywhere."""


def tidy_tables(studies: Sequence[Study]) -> dict[str, list[Row]]:
    """Tables by name, none without a row; the first column of each is the study's name."""
    tables: dict[str, list[Row]] = {}
    for study in studies:
        for name, rows in _tables(study):
            told = [{"study": study.name, **row} for row in rows]
            if told:
                tables.setdefault(name, []).extend(told)
    return {name: _even(rows) for name, rows in tables.items()}


def _even(rows: list[Row]) -> list[Row]:
    """The same columns in every row; what is taken apart in some rows is no column where it is not there."""
    columns = dict.fromkeys(column for row in rows for column in row)
    taken_apart = {column.rpartition(".")[0] for column in columns}
    return [{column: row.get(column) for column in columns if column not in taken_apart} for row in rows]


def _tables(study: Study) -> Iterator[tuple[str, list[Row]]]:
    body = study.to_dict()
    yield "studies", [_facts(study)]
    yield "saves", [{"quantity": key, "value": value} for key, value in study.verdict.saves.items()]
    for name in ("assignments", "deployments"):
        yield name, [_flat(row) for row in body["plan"][name]]
    yield "numbers", list(_numbers(study))
    kinds = {"option": body["options"], "alternative": body["alternatives"], "equivalent": body["equivalents"]}
    every = [(kind, option) for kind, options in kinds.items() for option in options]
    yield "options", [{"kind": kind, **_option(option)} for kind, option in every]
    yield (
        "option_devices",
        [
            {"kind": kind, "option": option["name"], "device": device, "count": count}
            for kind, option in every
            for device, count in (option["devices"] or {}).items()
        ],
    )
    yield "curves", [row for curve in body["curves"] for row in _curve(curve)]
    yield "maps", [row for drawn in body["maps"] for row in _cells(drawn)]
    yield "map_modes", [row for drawn in body["maps"] for row in _cell_modes(drawn)]
    yield "round_parts", list(_round_parts(body["round_parts"]))
    for field in fields(study):
        rows = body.get(field.name)
        if field.name not in IN_TABLES_OF_THEIR_OWN and isinstance(rows, list):
            yield field.name, [_flat(row) for row in rows if isinstance(row, Mapping)]
        elif field.name not in IN_TABLES_OF_THEIR_OWN and isinstance(rows, Mapping):
            yield field.name, [_flat(row) for row in rows.get("rows", ())]
    for key in ("budgets", "alone", "next_limits", "headroom", "one_more", "one_less"):
        yield OF_CAPACITY.get(key, key), [_flat(row) for row in (body["capacity"] or {}).get(key, ())]
    yield "acceptance_positions", list(_positions(body["acceptance"]))
    yield "inputs", list(body["provenance"]["inputs"])
    yield "notes", list(_notes(study))
    yield "story", [{"step": at, "text": text} for at, text in enumerate(study.story, 1)]


def _facts(study: Study) -> Row:
    made = study.provenance
    return {
        "answer": study.verdict.answer,
        "sentence": study.verdict.sentence,
        "measure_next": study.verdict.measure_next,
        "optimality_gap": study.optimality_gap,
        "bound_scope": study.bound_scope,
        "replay_steady": study.replayed.steady,
        "measured": study.measured is not None,
        "version": made.version,
        "seed": made.seed,
        "command": made.command,
        "created_at": made.created_at,
    }


def _curve(curve: Mapping[str, Any]) -> Iterator[Row]:
    about = {key: value for key, value in curve.items() if key != "points"}
    yield from ({**about, **point} for point in curve["points"])


def _option(option: Mapping[str, Any]) -> Row:
    """What is told of an option but its plan and its numbers, which have tables of their own."""
    return _flat({key: value for key, value in option.items() if key not in OF_AN_OPTION_ELSEWHERE})


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _numbers(study: Study) -> Iterator[Row]:
    """A row a number: of the chosen plan, and of every option that has numbers."""
    for performance in (study.predicted, study.replayed, study.measured):
        yield from _performance("chosen", performance)
    for option in study.options:
        for performance in (option.predicted, option.replayed):
            yield from _performance(option.name, performance)


def _performance(plan: str, performance: Performance | None) -> Iterator[Row]:
    if performance is None:
        return
    for workload in performance.workloads:
        for metric, value in _workload(workload):
            ends = (workload.ci or {}).get(metric) or (None, None)
            yield _number(plan, performance, "workload", workload.name, metric, value, ends)
    for scope, things in (("device", performance.devices), ("link", performance.links)):
        for thing in things:
            for field in fields(thing):
                if field.name != "name":
                    yield _number(plan, performance, scope, thing.name, field.name, getattr(thing, field.name))
    for field in fields(performance.fleet):
        yield _number(plan, performance, "fleet", "fleet", field.name, getattr(performance.fleet, field.name))


def _workload(workload: WorkloadPerformance) -> Iterator[tuple[str, float | None]]:
    for latency in LATENCIES:
        for statistic in STATISTICS:
            yield f"{latency}.{statistic}", getattr(getattr(workload, latency), statistic)
    for field in fields(workload):
        if field.name not in NOT_NUMBERS:
            yield field.name, getattr(workload, field.name)


def _number(
    plan: str,
    performance: Performance,
    scope: str,
    name: str,
    metric: str,
    value: float | None,
    ends: tuple[float | None, float | None] = (None, None),
) -> Row:
    return {
        "plan": plan,
        "source": performance.source,
        "scope": scope,
        "name": name,
        "metric": metric,
        "value": value,
        "low": ends[0],
        "high": ends[1],
    }


def _cells(drawn: Mapping[str, Any]) -> Iterator[Row]:
    about = {key: drawn[key] for key in ("workload", "title", "x_name", "y_name")}
    here = {"here_x": drawn["here"][0], "here_y": drawn["here"][1]}
    for cell in drawn["cells"]:
        yield {**about, **{key: value for key, value in cell.items() if key != "tpot_ms"}, **here}


def _cell_modes(drawn: Mapping[str, Any]) -> Iterator[Row]:
    about = {key: drawn[key] for key in ("workload", "title", "x_name", "y_name")}
    for cell in drawn["cells"]:
        for mode, tpot_ms in cell["tpot_ms"].items():
            yield {**about, "x": cell["x"], "y": cell["y"], "mode": mode, "tpot_ms": tpot_ms}


def _round_parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for row in rows:
        for part, value in row["parts"].items():
            yield {"workload": row["workload"], "mode": row["mode"], "part": part.removesuffix("_ms"), "ms": value}


def _positions(rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for row in rows:
        ends = [row[key] or [None] * len(row["survival"]) for key in ("survival_low", "survival_high")]
        for at, survival in enumerate(row["survival"]):
            position = {"position": at + 1, "survival": survival, "low": ends[0][at], "high": ends[1][at]}
            yield {"draft": row["draft"], "target": row["target"], **position}


def _notes(study: Study) -> Iterator[Row]:
    for performance in (study.predicted, study.replayed, study.measured):
        if performance is not None:
            yield from ({"source": performance.source, "note": note} for note in performance.notes)


def _flat(record: Mapping[str, Any], above: str = "") -> Row:
    """A record's own cells; what is nested gets its parent's name in front, and lists of cells are joined by blanks."""
    row: Row = {}
    for key, value in record.items():
        name = f"{above}{key}"
        if _is_interval(value):
            row |= {f"{name}{ending}": value[end] for end, ending in ENDS.items()}
        elif isinstance(value, Mapping):
            row |= _flat(value, f"{name}.")
        elif key == "searched":
            row |= {f"{name}_from": value[0], f"{name}_to": value[1]}
        elif isinstance(value, list):
            if value and all(_is_cell(item) for item in value):
                row[name] = " ".join("" if item is None else str(item) for item in value)
        else:
            row[name] = value
    return row


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {*ENDS, "level"}
