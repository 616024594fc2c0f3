"""Scenarios: TOML of schema 1, with the profiles and traces that they refer to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.ngrams import with_ngrams
from dsd_plan.domain.scenario import InputFile, Scenario
from dsd_plan.errors import Problem, ScenarioError
from dsd_plan.files.documents import SCHEMA_VERSION, refuse_other_version, sound
from dsd_plan.files.reading import FileText, read_file, toml_of
from dsd_plan.files.references import Known, References
from dsd_plan.files.shape import shape
from dsd_plan.files.values import shown


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario and everything that it refers to; `inputs` tells the path and SHA-256 of every file read.

    Raises ScenarioError with every problem of the scenario and of the files it refers to, SchemaVersionError for
    another version.
    """
    file = read_file(path, ScenarioError)
    raw = toml_of(file, ScenarioError)
    return scenario_of(raw, file)


def scenario_of(raw: dict[str, Any], file: FileText, known: Known | None = None) -> Scenario:
    """The scenario in a raw table, which may be another than the file holds; the table is changed.

    `known` remembers between variants what was read. Raises as `load_scenario` does.
    """
    before = _take_schema(raw, file.name)
    references = References(file.path.parent, known)
    references.resolve(raw)
    before += references.problems
    shaped = shape(Scenario, raw, loader_keys=("inputs",))
    scenario = sound(file.name, shaped, ScenarioError, scenario_problems, before)
    return replace(with_ngrams(scenario), inputs=(InputFile(file.name, file.sha256), *references.inputs))


def _take_schema(raw: dict[str, Any], name: str) -> list[Problem]:
    """Take `schema` out of a raw scenario. Raises SchemaVersionError when it is written for another version."""
    if "schema" not in raw:
        return [Problem("schema", f"missing; add `schema = {SCHEMA_VERSION}` at the top")]
    found = raw.pop("schema")
    if isinstance(found, bool) or not isinstance(found, int):
        return [Problem("schema", f"found {shown(found)}, expected {SCHEMA_VERSION}")]
    refuse_other_version(found, name, f"schema {shown(found)}", f"schema {SCHEMA_VERSION}")
    return []
