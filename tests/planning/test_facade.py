"""`from dsd_plan import …` gives functions, whatever was imported before, and costs nothing until then."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dsd_plan
from dsd_plan import planning

FUNCTIONS = ("crosscheck", "load_plan", "load_scenario", "optimize", "predict", "replay")


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_name_is_the_function_and_not_the_room_of_that_name(name: str) -> None:
    assert getattr(dsd_plan, name) is getattr(planning, name)
    assert callable(getattr(dsd_plan, name))


def test_rooms_imported_first_change_nothing() -> None:
    rooms = "import dsd_plan.optimize.run, dsd_plan.crosscheck"
    code = f"{rooms}; from dsd_plan import optimize, crosscheck; print(optimize.__module__, crosscheck.__module__)"
    assert python(code) == "dsd_plan.planning dsd_plan.planning"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, dsd_plan; print([m for m in ('pydantic', 'numpy', 'numba', 'networkx') if m in sys.modules])"
    assert python(code) == "[]"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        dsd_plan.simulate  # noqa: B018  (the access itself is the test)


def test_the_public_functions_cannot_be_overwritten_by_accident() -> None:
    with pytest.raises(AttributeError, match="cannot be replaced"):
        dsd_plan.optimize = None
