"""Keys of a scenario or plan by the names that their users write: `links[metro-region].rtt_ms`.

A list's item is named by its position, or by what it is about: a site, model, device or workload by its name, a link
by its two sites, a pair by draft+target, an assignment by its workload, a deployment by its device (or device/model).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import ValidationError

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.fleet import Link, RttTrace
from dsd_plan.domain.link_profile import LinkProfile
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import LatencyProfile, StepLaw
from dsd_plan.domain.records import Positive, Probability
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.sweep import Axis, Value
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Workload
from dsd_plan.files.shape import adapter
from dsd_plan.files.values import is_record, is_union, keys_of, shown, without_none, words_for

Loc = tuple[str | int, ...]

PLAN = "plan"
LOAD = "load"
FIRST_ACCEPTED = "first_accepted"
DERIVED: Mapping[Any, Mapping[str, Any]] = {
    Scenario: {LOAD: Positive},
    Workload: {LOAD: Positive},
    Pair: {FIRST_ACCEPTED: Probability},
}
"""Keys that no file has: multiples of today's load, and another acceptance of the first proposal, its law of the same
shape."""
ALTERNATIVES = ("per_token", "survival")
"""Of an acceptance law, which has one of them."""
REFERENCES = (LatencyProfile, RttTrace, LinkProfile)

_STEP = re.compile(r"""(?:^|\.)(?P<key>[A-Za-z_][A-Za-z0-9_\-]*)|\[(?:"(?P<quoted>[^"]*)"|(?P<item>[^\]"]+))\]""")


class KeyProblemError(Exception):
    """What is wrong with a key, to be told with the others."""


class _Step(NamedTuple):
    text: str
    item: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is there, or may be."""

    text: str
    of_plan: bool
    loc: Loc
    kind: Any
    """Type of its value."""
    derived: str | None = None
    """LOAD or FIRST_ACCEPTED; `loc` is then the place of what it is about."""
    replaces: tuple[str, ...] = ()
    """Keys beside it that say the same in another way and give way."""
    over_file: str | None = None
    """The file whose place a table takes."""


def key_of(text: str, scenario: Mapping[str, Any], plan: Mapping[str, Any]) -> Key:
    """Find a key in a raw scenario and plan. Raises KeyProblemError naming what is near."""
    steps = _steps(text)
    of_plan = steps[0].text == PLAN and len(steps) > 1
    if steps[0].text == "search":
        raise KeyProblemError("changes nothing: the plan is taken as it is, and none is searched")
    if of_plan:
        return _found(text, plan, Plan, steps[1:], of_plan=True)
    return _found(text, scenario, Scenario, steps, of_plan=False)


def _steps(text: str) -> list[_Step]:
    steps, at = [], 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise KeyProblemError(
                "is no key; write it as in the file, e.g. links[0].rtt_ms, workloads[chat].rate_per_s"
            )
        item = found["quoted"] if found["quoted"] is not None else found["item"]
        steps.append(_Step(found["key"] or item, item is not None))
        at = found.end()
    if not steps or steps[0].item:
        raise KeyProblemError("is no key; write it as in the file, e.g. links[0].rtt_ms")
    return steps


def _found(text: str, raw: Any, kind: Any, steps: list[_Step], *, of_plan: bool) -> Key:
    here, so_far = raw, PLAN if of_plan else ""
    loc: Loc = ()
    over_file: str | None = None
    for step in steps:
        kind = without_none(kind)
        if isinstance(here, str):
            over_file = _replaceable(kind, here, so_far)
            here = {}
        if step.item or get_origin(kind) is dict:
            inside = _item(here, kind, step.text, so_far)
            kind = get_args(kind)[1] if get_origin(kind) is dict else get_args(kind)[0]
        else:
            inside = step.text
            derived = DERIVED.get(kind, {}).get(inside)
            if derived is not None:
                return Key(text, of_plan, loc, derived, derived=inside)
            kind = _inside(kind, inside, so_far)
        loc = (*loc, inside)
        so_far += f"[{step.text}]" if step.item else f".{step.text}" if so_far else step.text
        if isinstance(here, list) and isinstance(inside, int):
            here = here[inside]
        else:
            here = here.get(inside) if isinstance(here, Mapping) else None
    kind = without_none(kind)
    if is_record(kind) and kind not in REFERENCES:
        raise KeyProblemError(f"is a table; name one of its keys: {', '.join(file_keys(kind))}")
    if get_origin(kind) in (tuple, dict):
        raise KeyProblemError(f"is {'a list' if get_origin(kind) is tuple else 'a table'}; name one item of it")
    beside = tuple(key for key in ALTERNATIVES if key != loc[-1]) if _is_alternative(loc) else ()
    return Key(text, of_plan, loc, kind, replaces=beside, over_file=over_file)


def _is_alternative(loc: Loc) -> bool:
    return loc[:1] == ("pairs",) and loc[2:3] == ("acceptance",) and loc[-1] in ALTERNATIVES


def file_keys(kind: Any) -> dict[str, Any]:
    """The keys of a table in a file, where its domain type is another; empty where it is none."""
    if kind is LatencyProfile:
        return {"law": StepLaw}
    if is_union(kind):
        members = get_args(kind)
        if AcceptanceLaw in members:
            return keys_of(AcceptanceLaw)
        if PoissonRequests in members:
            return {**keys_of(PoissonRequests), **keys_of(ClosedRequests)}
        return {}
    if not is_record(kind):
        return {}
    return {key: of for key, of in keys_of(kind).items() if not (kind is Scenario and key == "inputs")}


def _inside(kind: Any, key: str, so_far: str) -> Any:
    known = file_keys(kind)
    if not known:
        what = so_far or "it"
        hint = f"name one item of {what}: {what}[0].{key}" if get_origin(kind) is tuple else f"{what} holds no keys"
        raise KeyProblemError(hint)
    if key not in known:
        every = [*known, *DERIVED.get(kind, {}), *((PLAN,) if kind is Scenario else ())]
        near = difflib.get_close_matches(key, every, n=1, cutoff=0.55)
        where = f" in {so_far}" if so_far else ""
        meant = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(every)}"
        raise KeyProblemError(f"unknown key `{key}`{where}; {meant}")
    return known[key]


def _item(here: Any, kind: Any, text: str, so_far: str) -> str | int:
    if get_origin(kind) is dict:
        names = list(here) if isinstance(here, Mapping) else []
        if text not in names:
            raise KeyProblemError(f"{so_far} has no {json.dumps(text, ensure_ascii=False)}; {_there(text, names)}")
        return text
    if get_origin(kind) is not tuple:
        raise KeyProblemError(f"{so_far} is no list, of which [{text}] could be an item")
    items = here if isinstance(here, list) else []
    if re.fullmatch(r"\d+", text):
        if int(text) < len(items):
            return int(text)
        last = f"the last is [{len(items) - 1}]" if items else "there is none"
        raise KeyProblemError(f"{so_far} has no item [{text}]; {last}")
    names_at = [(name, at) for at, item in enumerate(items) for name in _names(get_args(kind)[0], item)]
    found = sorted({at for name, at in names_at if name == text})
    if len(found) > 1:
        raise KeyProblemError(
            f"{so_far}[{text}] is {len(found)} items; say which: {', '.join(f'[{at}]' for at in found)}"
        )
    if not found:
        names = [names_of[0] for item in items if (names_of := _names(get_args(kind)[0], item))]
        raise KeyProblemError(f"{so_far} has no {json.dumps(text, ensure_ascii=False)}; {_there(text, names)}")
    return found[0]


def _there(text: str, names: list[str]) -> str:
    near = difflib.get_close_matches(text, names, n=1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(map(str, names)) or 'none'}"


def _names(kind: Any, item: Any) -> tuple[str, ...]:
    """What an item of a list may be called, the usual name first."""
    if not isinstance(item, Mapping):
        return ()

    def of(*keys: str) -> list[str]:
        return [str(item.get(key)) for key in keys]

    if kind is Link and isinstance(item.get("between"), list) and len(item["between"]) == 2:
        first, second = map(str, item["between"])
        return f"{first}-{second}", f"{second}-{first}"
    if kind is Pair:
        draft, target = of("draft", "target")
        return f"{draft}+{target}", f"{draft}-{target}"
    if kind is Assignment:
        return (of("workload")[0],)
    if kind is Deployment:
        device, model = of("device", "model")
        return f"{device}/{model}", device
    return (str(item["name"]),) if "name" in item else ()


def _replaceable(kind: Any, written: str, so_far: str) -> str:
    """The file that a table takes the place of: an acceptance law alone is complete."""
    if is_union(kind) and AcceptanceLaw in get_args(kind):
        return written
    if is_union(kind) and PoissonRequests in get_args(kind):
        own = so_far.removesuffix(".requests")
        raise KeyProblemError(f"{so_far} is the file {written}; {own}.rate_per_s rescales it, {own}.load multiplies it")
    raise KeyProblemError(f"{so_far} is the file {written}, in which nothing can be varied; name files: {so_far}=a,b")


def typed(key: Key, axis: Axis) -> tuple[Value, ...]:
    """The values that a key takes, as its type wants them. Raises KeyProblemError."""
    if not axis.texts:
        return tuple(_number(key, number) for number in axis.numbers)
    return tuple(_text(key, text) for text in axis.texts)


def _number(key: Key, number: float) -> Value:
    candidates: list[Value] = [int(number)] if number.is_integer() else []
    return _first_fit(key, [*candidates, number], f"{number:g}")


def _text(key: Key, text: str) -> Value:
    candidates: list[Value] = []
    for read in (int, float):
        try:
            candidates.append(read(text))
        except ValueError:
            continue
    if text in ("true", "false"):
        candidates.append(text == "true")
    return _first_fit(key, [*candidates, text], text)


def _first_fit(key: Key, candidates: Iterable[Value], written: str) -> Value:
    if key.kind in REFERENCES or is_union(key.kind):
        for value in candidates:
            if isinstance(value, str):
                return value
        raise KeyProblemError(f"found {written}, expected the name of a file")
    for value in candidates:
        try:
            adapter(key.kind).validate_python(value)
        except ValidationError:
            continue
        return value
    raise KeyProblemError(f"found {shown(_plain(written))}, expected {words_for(key.kind)}")


def _plain(written: str) -> Value:
    try:
        return float(written) if "." in written or "e" in written.lower() else int(written)
    except ValueError:
        return written
