"""Studies and performances: what results leave behind, and reading a study again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import Study, plans_in
from dsd_plan.errors import InputError, Problem
from dsd_plan.files.documents import document_of, take_schema
from dsd_plan.files.reading import json_of, read_file
from dsd_plan.files.writing import write_json

NESTED = ("predicted", "replayed", "measured")
"""Keys of a study that hold performances, documents of their own."""


def load_study(path: str | Path) -> Study:
    """Read a study. Raises InputError with every problem, SchemaVersionError for another version."""
    return document_of(read_file(path, InputError), Study, "study", InputError, prepare=_take_nested_schemas)


def load_performance(path: str | Path) -> Performance:
    """Read what `predict` or `replay` printed. Raises InputError with every problem, SchemaVersionError."""
    return document_of(
        read_file(path, InputError), Performance, "performance", InputError, prepare=_leave_out_explanation
    )


def load_result(path: str | Path) -> Study | Performance:
    """A study or a performance, as its schema says. Raises InputError where the file is another document."""
    schema = json_of(read_file(path, InputError), InputError).get("schema")
    if isinstance(schema, str) and schema.startswith("dsd-plan/performance/"):
        return load_performance(path)
    return load_study(path)


def write_study(path: str | Path, study: Study) -> None:
    """Write a study that `load_study` gives back as it is. Raises ValueError where it holds NaN or infinity."""
    write_json(path, study.to_dict())


def write_performance(path: str | Path, performance: Performance) -> None:
    """Write one performance, schema `dsd-plan/performance/1`. Raises ValueError where it holds NaN or infinity."""
    write_json(path, performance.to_dict())


def _leave_out_explanation(raw: dict[str, Any], name: str) -> list[Problem]:
    """`predict --explain --json` says why beside the performance."""
    raw.pop("explain", None)
    return []


def _take_nested_schemas(raw: dict[str, Any], name: str) -> list[Problem]:
    problems: list[Problem] = []
    nested = [(key, raw[key], "performance") for key in NESTED if isinstance(raw.get(key), dict)]
    # Plans beside the chosen one were written without a schema once.
    plans = ((place, holder[key], "plan") for place, holder, key in plans_in(raw))
    nested += [found for found in plans if found[0] == "plan" or "schema" in found[1]]
    for place, inner, document in nested:
        found = take_schema(inner, document, name)
        problems += [Problem(f"{place}.{problem.place}", problem.text) for problem in found]
    return problems
