"""The parts of a scenario that are files of their own, or of several kinds: each becomes a domain object, or a problem.

A part that is wrong is stood in for by one that contradicts nothing, so that the rest can still be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dsd_plan.domain.acceptance import Acceptance, AcceptanceLaw
from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.link_profile import LINK_KEYS, link_values
from dsd_plan.domain.profile import LatencyProfile, StepLaw, declared_profile
from dsd_plan.domain.scenario import InputFile, Scenario
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Requests, RequestTrace
from dsd_plan.errors import InputError, PlanError, Problem, ProfileError, TraceError
from dsd_plan.files.acceptance import acceptance_of, sidecar_of
from dsd_plan.files.acceptance_law import counts_or_law_of
from dsd_plan.files.link import link_of
from dsd_plan.files.plan import plan_of
from dsd_plan.files.profile import profile_of
from dsd_plan.files.reading import FileText, read_file, unprintable
from dsd_plan.files.requests import requests_of, rtt_trace_of
from dsd_plan.files.shape import place_of, shape
from dsd_plan.files.values import shown

T = TypeVar("T")

DECLARED = "declared"
"""Name of the device in a profile that is a law written into the scenario, where the device's own is not known."""


LONGEST_NAME = 500
"""As in `domain.records.Name`."""


Known = dict[tuple[str, Callable[[FileText], Any]], Any]
"""What was made of a file, or the error that it gave."""


class References:
    """Reads what a scenario refers to, each file once; keeps the problems and the hashes.

    `known`: files that were read for another variant of the same scenario; they are not read, nor listed, again.
    """

    def __init__(self, folder: Path, known: Known | None = None) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.inputs: list[InputFile] = []
        self._known: Known = {} if known is None else known

    def resolve(self, raw: dict[str, Any]) -> None:
        """Replace every reference in a raw scenario by its object, as far as its shape allows."""
        for index, link in _tables(raw, "links"):
            if "trace" in link:
                link["trace"] = self._link_trace(f"links[{index}].trace", link["trace"])
                if link["trace"] is None and not any(key in link for key in ("rtt_ms", "up_ms", "down_ms", "profile")):
                    # It is stood in for, so that the link is not said to lack a delay as well.
                    link["rtt_ms"] = 1.0
            if "profile" in link:
                self._link_profile(f"links[{index}]", link)
        for index, device in _tables(raw, "devices"):
            profiles = device.get("profiles")
            if isinstance(profiles, dict):
                for model, value in profiles.items():
                    place = place_of(Scenario, ("devices", index, "profiles", model))
                    profiles[model] = self._profile(place, device.get("name"), model, value)
        for index, pair in _tables(raw, "pairs"):
            if "acceptance" in pair:
                pair["acceptance"] = self._acceptance(f"pairs[{index}].acceptance", pair["acceptance"])
        present = raw.get("present")
        if isinstance(present, dict) and "plan" in present:
            self._present(raw, present)
        for index, workload in _tables(raw, "workloads"):
            if "requests" in workload:
                place = f"workloads[{index}].requests"
                workload["requests"] = self._requests(place, workload["requests"], workload.get("name"))

    def _profile(self, place: str, device: Any, model: str, value: Any) -> LatencyProfile:
        stand_in = StepLaw(step_ms=1.0)
        name, model = _name(device), _name(model)
        if isinstance(value, str):
            profile = self._file(place, value, ProfileError, profile_of)
            return profile or declared_profile(name, model, stand_in)
        if isinstance(value, dict) and "law" in value:
            for key in value:
                if key != "law":
                    self.problems.append(Problem(place_of(None, (key,), place), "unknown key; known here: law"))
            law = self._table(StepLaw, f"{place}.law", value["law"])
            return declared_profile(name, model, law or stand_in)
        self._wrong_kind(place, value, "the path of a profile, or { law = { step_ms = … } }")
        return declared_profile(name, model, stand_in)

    def _acceptance(self, place: str, value: Any) -> Acceptance:
        if isinstance(value, str):
            counted = value.lower().endswith(".json")
            trace = self._file(place, value, TraceError, counts_or_law_of if counted else self._acceptance_with_sidecar)
            return trace or AcceptanceLaw(per_token=0.5)
        if isinstance(value, dict):
            law = self._table(AcceptanceLaw, place, value)
            return law or AcceptanceLaw(per_token=0.5)
        self._wrong_kind(place, value, "the path of a trace, { per_token = … } or { survival = […] }")
        return AcceptanceLaw(per_token=0.5)

    def _acceptance_with_sidecar(self, file: FileText) -> Any:
        sidecar = sidecar_of(file)
        if sidecar is not None:
            self.inputs.append(InputFile(sidecar.name, sidecar.sha256))
        return acceptance_of(file, sidecar)

    def _requests(self, place: str, value: Any, workload: Any) -> Requests:
        found: Requests | None = None
        if isinstance(value, str):
            found = self._recorded(place, value, workload)
        elif isinstance(value, dict) and "users" in value and "rate_per_s" in value:
            self.problems.append(Problem(place, "found users and rate_per_s; requests are closed or open, keep one"))
        elif isinstance(value, dict) and ("users" in value or "think_s" in value):
            found = self._table(ClosedRequests, place, value)
        elif isinstance(value, dict):
            found = self._table(PoissonRequests, place, value)
        else:
            self._wrong_kind(place, value, "the path of a trace, { rate_per_s = … } or { users = … }")
        return found or PoissonRequests(rate_per_s=1.0, prompt_tokens=1, output_tokens=1)

    def _recorded(self, place: str, value: str, workload: Any) -> RequestTrace | None:
        """A trace's requests; where it holds several workloads, those of this one."""
        trace = self._file(place, value, TraceError, requests_of)
        try:
            return None if trace is None else trace.of_workload(_name(workload))
        except KeyError as missing:
            self.problems.append(Problem(place, f"{value}: {missing.args[0]}; rename the workload or tag its rows"))
            return None

    def _present(self, raw: dict[str, Any], present: dict[str, Any]) -> None:
        """Put the plan in place of its file; without one nothing can be said of the rest."""
        written = present["plan"]
        if not isinstance(written, str):
            self._wrong_kind("present.plan", written, "the path of a plan")
            present["plan"] = None
        else:
            present["plan"] = self._file("present.plan", written, PlanError, plan_of)
        if present["plan"] is None:
            del raw["present"]

    def _link_trace(self, place: str, value: Any) -> RttTrace | None:
        if isinstance(value, str):
            return self._file(place, value, TraceError, rtt_trace_of)
        self._wrong_kind(place, value, "the path of a trace with columns at_s and rtt_ms")
        return None

    def _link_profile(self, place: str, link: dict[str, Any]) -> None:
        """Put a link profile's numbers into a raw link; a number that is given beside it would be silently lost."""
        written = link["profile"]
        beside = [key for key in (*LINK_KEYS, "trace") if key in link]
        self.problems += [
            Problem(f"{place}.{key}", "given beside profile, which brings it; leave one of them out") for key in beside
        ]
        for key in beside:
            del link[key]
        profile = None
        if isinstance(written, str):
            profile = self._file(f"{place}.profile", written, ProfileError, link_of)
        else:
            self._wrong_kind(f"{place}.profile", written, "the path of a link profile")
        link["profile"] = profile
        # A profile that cannot be read is stood in for, so that the link is not said to lack a delay as well.
        link.update({"rtt_ms": 1.0} if profile is None else link_values(profile))

    def _table(self, kind: type[T], place: str, value: Any) -> T | None:
        shaped = shape(kind, value, place)
        self.problems += shaped.problems
        return shaped.value

    def _wrong_kind(self, place: str, value: Any, expected: str) -> None:
        self.problems.append(Problem(place, f"found {shown(value)}, expected {expected}"))

    def _file(self, place: str, written: str, error: type[InputError], read: Callable[[FileText], T]) -> T | None:
        """The object in a file, read once however often it is referred to; None after noting its problems."""
        if reason := unprintable(written):
            self.problems.append(Problem(place, f"found text {reason}"))
            return None
        # One file may be referred to as two kinds of thing, of which it can be one at most.
        key = (written, read)
        if key not in self._known:
            try:
                file = read_file(self.folder / written, error, written)
                if all(known.path != written for known in self.inputs):
                    self.inputs.append(InputFile(written, file.sha256))
                self._known[key] = read(file)
            except InputError as failure:
                self._known[key] = failure
        known = self._known[key]
        if isinstance(known, InputError):
            inner = [_inner(problem, known.source, written) for problem in known.problems]
            self.problems += [Problem(place, text) for text in inner]
            return None
        made: T = known
        return made


def _name(value: Any) -> str:
    """The value where it can be a name; what is wrong with it as one is said where it stands."""
    return value if isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME else DECLARED


def _inner(problem: Problem, source: str, written: str) -> str:
    """A file's problem as part of the scenario's: the file's name stands before it."""
    name = source if source.startswith(written) else f"{written}: {source}"
    return f"{name}: {problem}"


def _tables(raw: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
    """The tables of a list of tables, with their positions; what is none is left to the shape check."""
    items = raw.get(key)
    return [(i, item) for i, item in enumerate(items) if isinstance(item, dict)] if isinstance(items, list) else []
