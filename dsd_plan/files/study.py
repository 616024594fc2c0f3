"""Studies and performances: what results leave behind, and reading a study again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import Study
from dsd_plan.errors import InputError, Problem
from dsd_plan.files.documents import document_of, take_schema
from dsd_plan.files.reading import read_file
from dsd_plan.files.writing import write_json

NESTED = (("plan", "plan"), ("predicted", "performance"), ("replayed", "performance"), ("measured", "performance"))
"""Keys of a study that hold documents of their own, and of which kind."""


def load_study(path: str | Path) -> Study:
    """Read a study. Raises InputError with every problem, SchemaVersionError for another version."""
    return document_of(read_file(path, InputError), Study, "study", InputError, prepare=_take_nested_schemas)


def write_study(path: str | Path, study: Study) -> None:
    """Write a study that `load_study` gives back as it is. Raises ValueError where it holds NaN or infinity."""
    write_json(path, study.to_dict())


def write_performance(path: str | Path, performance: Performance) -> None:
    """Write one performance, schema `dsd-plan/performance/1`. Raises ValueError where it holds NaN or infinity."""
    write_json(path, performance.to_dict())


def _take_nested_schemas(raw: dict[str, Any], name: str) -> list[Problem]:
    problems = []
    for key, document in NESTED:
        if isinstance(raw.get(key), dict):
            found = take_schema(raw[key], document, name)
            problems += [Problem(f"{key}.{problem.place}", problem.text) for problem in found]
    return problems
