"""The fleet as a page draws it: sites with their users and devices, and what joins them; many sites as a few groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.markup import isolated, short
from dsd_plan.report.numbers import THIN, given, several, share
from dsd_plan.report.reading import best_known, fullest_device, mode_name

MOST_BOXES, MOST_LINES = 6, 4
"""Boxes in a column before sites are drawn as groups, and users or devices told in one box."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a box."""

    text: str
    kind: str = ""
    """"", "muted", "mode" (a coloured dot before it) or "bar" (how full a device is)."""
    mode: str = ""
    full: float | None = None
    """Of a bar: saturation."""
    fullest: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A site, or many that are alike."""

    title: str
    sites: tuple[str, ...]
    users: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """What joins two boxes."""

    ends: tuple[int, int]
    """Places in the list of boxes."""
    text: str
    more: str
    busiest: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that the picture shows."""

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    answer: str


def fleet_of(study: Study) -> Fleet | None:
    """The study's fleet; None where its scenario names no site."""
    sites = _entries(study, "sites")
    if not sites:
        return None
    names = [str(site.get("name", "")) for site in sites]
    counts = {str(site.get("name", "")): site.get("count") or 1 for site in sites}
    asked = {str(workload.get("site", "")) for workload in _entries(study, "workloads")}
    users, others = [n for n in names if n in asked], [n for n in names if n not in asked]
    groups = [*_groups(study, users, True), *_groups(study, others, False)]
    boxes = tuple(
        Box(_title(group, counts), tuple(group), is_users, _lines(study, group)) for group, is_users in groups
    )
    return Fleet(boxes, _wires(study, boxes), _answer(study))


def _entries(study: Study, kind: str) -> list[Mapping[str, Any]]:
    entries = study.scenario.get(kind)
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list | tuple) else []


def _groups(study: Study, names: Sequence[str], users: bool) -> list[tuple[list[str], bool]]:
    """Each site alone, or sites whose users are served in the same modes on the same targets together."""
    if len(names) <= MOST_BOXES:
        return [([name], users) for name in names]
    served: dict[str, set[tuple[str, str]]] = {}
    sites = {str(w.get("name")): str(w.get("site", "")) for w in _entries(study, "workloads")}
    for assignment in study.plan.assignments:
        served.setdefault(sites.get(assignment.workload, ""), set()).add((assignment.mode, assignment.target_device))
    deployed = {deployment.device for deployment in study.plan.deployments}
    at_work = {str(d.get("site", "")) for d in _entries(study, "devices") if d.get("name") in deployed}
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name in names:
        ways = frozenset(served.get(name, ()))
        kind = (frozenset(mode for mode, _ in ways), name in at_work) if users else (name in at_work,)
        alike.setdefault(kind, []).append(name)
    return [(group, users) for group in sorted(alike.values(), key=len, reverse=True)]


def _title(group: Sequence[str], counts: Mapping[str, Any]) -> str:
    first = short(group[0], 26)
    if len(group) > 1:
        return f"{first} and {len(group) - 1:,} more sites"
    many = counts[group[0]]
    return f"{first} × {many:,}" if isinstance(many, int) and many > 1 else first


def _lines(study: Study, group: Sequence[str]) -> tuple[Line, ...]:
    inside = set(group)
    workloads = [w for w in _entries(study, "workloads") if str(w.get("site", "")) in inside]
    devices = [d for d in _entries(study, "devices") if str(d.get("site", "")) in inside]
    return (*_user_lines(study, workloads), *_device_lines(study, devices))


def _user_lines(study: Study, workloads: Sequence[Mapping[str, Any]]) -> list[Line]:
    lines: list[Line] = []
    shown = workloads if len(workloads) <= MOST_LINES else workloads[:1]
    for workload in shown:
        lines.append(Line(f"{short(workload.get('name'), 22)}{_asked(workload)}"))
        for a in study.plan.assignments:
            if a.workload == workload.get("name"):
                window = f" γ{a.window}" if a.window else ""
                part = f"{share(a.share)} " if a.share < 1 else ""
                text = f"{part}{mode_name(a.mode)}{window} on {short(a.target_device, 18)}"
                lines.append(Line(text, "mode", a.mode))
    if len(shown) < len(workloads):
        lines.append(Line(f"and {several(len(workloads) - len(shown), 'more workload')}", "muted"))
    return lines


def _asked(workload: Mapping[str, Any]) -> str:
    requests = workload.get("requests")
    if not isinstance(requests, dict):
        return ""
    if requests.get("rate_per_s"):
        return f": {given(requests['rate_per_s'])}{THIN}/s"
    return f": {given(requests['users'])} users" if requests.get("users") else ""


def _device_lines(study: Study, devices: Sequence[Mapping[str, Any]]) -> list[Line]:
    seen = {d.name: d for d in best_known(study).devices}
    fullest = fullest_device(best_known(study))
    used = {d.device: d.count for d in study.plan.deployments}
    at_work = [d for d in devices if d.get("name") in used]
    at_work.sort(key=lambda d: -(_saturation(seen, d) or 0.0))
    lines: list[Line] = []
    shown = at_work if len(at_work) <= MOST_LINES else at_work[:2]
    for device in shown:
        name = str(device.get("name"))
        models = [short(d.model, 16) for d in study.plan.deployments if d.device == name]
        lines.append(Line(f"{used[name]:,} of {device.get('count', '?')} {short(name, 16)}: {' + '.join(models)}"))
        full = _saturation(seen, device)
        if full is not None:
            is_fullest = fullest is not None and fullest.name == name
            lines.append(Line(f"{share(full)} full", "bar", full=full, fullest=is_fullest))
    if len(shown) < len(at_work):
        lines.append(Line(f"and {len(at_work) - len(shown):,} more device types, less full", "muted"))
    idle = [d for d in devices if d.get("name") not in used]
    if idle:
        more = f" and {len(idle) - 1:,} more types" if len(idle) > 1 else ""
        lines.append(Line(f"not used: {idle[0].get('count', '?')} {short(idle[0].get('name'), 18)}{more}", "muted"))
    return lines


def _saturation(seen: Mapping[str, Any], device: Mapping[str, Any]) -> float | None:
    found = seen.get(str(device.get("name")))
    value: float | None = found.saturation if found else None
    return value


def _wires(study: Study, boxes: Sequence[Box]) -> tuple[Wire, ...]:
    place = {site: at for at, box in enumerate(boxes) for site in box.sites}
    joined: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for link in _entries(study, "links"):
        ends = [str(end) for end in link.get("between") or ()]
        if len(ends) == 2 and all(end in place for end in ends):
            low, high = sorted(place[end] for end in ends)
            if low != high:
                joined.setdefault((low, high), []).append(link)
    fullest = fullest_device(best_known(study))
    full = (fullest.saturation or 0.0) if fullest else 0.0
    busy = {link.name: max(link.up_busy, link.down_busy) for link in best_known(study).links}
    most = max(busy.values(), default=0.0)
    wires = []
    for pair, links in joined.items():
        mine = max((busy.get(" – ".join(str(end) for end in link["between"]), 0.0) for link in links), default=0.0)
        wires.append(Wire(pair, _trips(links), _bandwidth(links, mine), bool(mine) and mine == most and most > full))
    return tuple(wires)


def _trips(links: Sequence[Mapping[str, Any]]) -> str:
    times = sorted(link["rtt_ms"] for link in links if isinstance(link.get("rtt_ms"), int | float))
    if not times:
        return "RTT as recorded"
    ends = given(times[0]) if times[0] == times[-1] else f"{given(times[0])}–{given(times[-1])}"
    return f"RTT {ends}{THIN}ms"


def _bandwidth(links: Sequence[Mapping[str, Any]], busy: float) -> str:
    parts = []
    for key, way in (("uplink_mbps", "up"), ("downlink_mbps", "down")):
        rates = sorted(link[key] for link in links if isinstance(link.get(key), int | float))
        if rates:
            parts.append(f"{given(rates[0])} {way}")
    text = f"{', '.join(parts)} Mb/s" if parts else ""
    return f"{text}, {share(busy)} busy" if busy >= 0.01 else text


def _answer(study: Study) -> str:
    fullest = fullest_device(best_known(study))
    modes = dict.fromkeys(mode_name(a.mode) for a in study.plan.assignments)
    first = f"Users are served in {' and '.join(modes)} mode" if modes else "Nobody is served"
    if fullest is None or fullest.saturation is None:
        return f"{first}."
    return f"{first}; by share of its steps {isolated(fullest.name)} is the fullest, at {share(fullest.saturation)}."
