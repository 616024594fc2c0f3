"""Variants of a scenario and a plan: the same files with other values for some of their keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from dsd_plan.domain.plan import Plan
from dsd_plan.domain.plan_checks import plan_problems
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.sweep import Axis, Value, Values
from dsd_plan.errors import InputError, PlanError, Problem, ScenarioError
from dsd_plan.files.documents import sound
from dsd_plan.files.reading import read_file, toml_of
from dsd_plan.files.references import Known
from dsd_plan.files.scenario import scenario_of
from dsd_plan.files.scenario_keys import Key, KeyProblemError, Loc, key_of, typed
from dsd_plan.files.shape import adapter, shape


class Variations:
    """A scenario file and a plan, to be varied. Every file is read once. Raises what `load_scenario` raises."""

    def __init__(self, scenario: str | Path, plan: Plan) -> None:
        self._file = read_file(scenario, ScenarioError)
        self._raw = toml_of(self._file, ScenarioError)
        self._raw_plan: dict[str, Any] = adapter(Plan).dump_python(plan, mode="json", exclude_none=True)
        self._known: Known = {}
        self._keys: dict[str, Key] = {}
        self.scenario: Scenario = scenario_of(deepcopy(self._raw), self._file, self._known)
        """As the file has it."""

    def axes(self, asked: Sequence[Axis]) -> tuple[tuple[str, tuple[Value, ...]], ...]:
        """Each key with its values, as its type wants them. Raises InputError with everything that is wrong."""
        found: list[tuple[str, tuple[Value, ...]]] = []
        problems = []
        for axis in asked:
            try:
                if axis.key in dict(found):
                    raise KeyProblemError("is varied twice; give all of its values at once")
                found.append((axis.key, typed(self.key(axis.key), axis)))
            except KeyProblemError as problem:
                problems.append(Problem(axis.key, str(problem)))
        if problems:
            raise InputError("--vary", problems)
        return tuple(found)

    def key(self, text: str) -> Key:
        """A key by its name. Raises KeyProblemError."""
        if text not in self._keys:
            self._keys[text] = key_of(text, self._raw, self._raw_plan)
        return self._keys[text]

    def notes(self, keys: Sequence[str]) -> tuple[str, ...]:
        """What varying these keys puts aside."""
        notes = []
        for key in map(self.key, keys):
            table = _at(self._raw_plan if key.of_plan else self._raw, key.loc[:-1])
            gone = [name for name in key.replaces if isinstance(table, Mapping) and name in table]
            if key.over_file is not None:
                notes.append(f"{key.text} takes the place of the file {key.over_file}")
            elif gone:
                notes.append(f"{key.text} takes the place of {', '.join(gone)}")
        return tuple(notes)

    def at(self, values: Values) -> tuple[Scenario, Plan]:
        """The scenario and the plan with these values; derived keys are left to the caller.

        Raises ScenarioError or PlanError where they contradict each other.
        """
        raw, raw_plan = deepcopy(self._raw), deepcopy(self._raw_plan)
        for text, value in values.items():
            key = self.key(text)
            if key.derived is None:
                _put(raw_plan if key.of_plan else raw, key, value)
        scenario = self.scenario if raw == self._raw else scenario_of(raw, self._file, self._known)
        plan = sound("plan", shape(Plan, raw_plan), PlanError, plan_problems)
        return scenario, plan

    def fingerprint(self, values: Values, about: Mapping[str, Any]) -> str:
        """SHA-256 of everything that a point's result depends on: files, plan, values, and `about` the computation."""
        body = {
            "about": dict(about),
            "inputs": [file.sha256 for file in self.scenario.inputs],
            "plan": self._raw_plan,
            "values": dict(sorted(values.items())),
            "named": [self._content(value) for value in values.values() if isinstance(value, str)],
        }
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]

    def _content(self, name: str) -> str | None:
        """Hash of a file that a value names."""
        path = self._file.path.parent / name
        return read_file(path, InputError).sha256 if path.is_file() else None


def _at(raw: Any, loc: Loc) -> Any:
    for step in loc:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _put(raw: Any, key: Key, value: Value) -> None:
    """Set a key; tables on the way to it are made where there are none."""
    for step in key.loc[:-1]:
        inside = raw.get(step) if isinstance(raw, dict) else raw[step]
        if not isinstance(inside, dict | list):
            inside = raw[step] = {}
        raw = inside
    for name in key.replaces:
        raw.pop(name, None)
    raw[key.loc[-1]] = value
