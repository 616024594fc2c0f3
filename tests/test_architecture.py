"""The nevers of the design, kept by reading the sources. Each rule has a planted violation that it must find.

A rule is a function from sources (dotted module name to text) to a list of violations, so that the
self-tests can hand it a small, wrong package.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = "dsd_plan"
SOURCES = Path(__file__).parents[1] / PACKAGE
LONGEST_FILE_LINES = 400

Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]

BASE = frozenset({"errors", "units"})
"""Floor 1: every room from floor 2 up may import these."""

FLOORS: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "units": frozenset(),
    "queueing": frozenset(),
    "domain": BASE,
    "control": BASE | {"domain"},
    "pair": BASE | {"domain"},
    "model": BASE | {"queueing", "domain"},
    "replay": BASE | {"control", "domain"},
    "measure": BASE | {"pair", "domain"},
    "calibrate": BASE | {"domain"},
    "files": BASE | {"domain"},
    "report": BASE | {"domain"},
    "optimize": BASE | {"model", "domain"},
    "crosscheck": BASE | {"model", "replay", "domain"},
    "capacity": BASE | {"optimize", "model", "domain"},
    "compare": BASE | {"domain"},
    "testbed": BASE | {"measure", "control", "domain"},
    "planning": BASE
    | {"domain", "control", "pair", "model", "replay", "measure", "calibrate", "files", "report"}
    | {"optimize", "capacity", "crosscheck", "testbed"},
    "explaining": BASE | {"domain", "model", "planning"},
    "sweep": BASE | {"domain", "files", "optimize", "planning"},
    "cli": BASE
    | {"domain", "planning", "explaining", "sweep", "compare", "files", "report", "measure", "calibrate"}
    | {"testbed"},
    "__main__": frozenset({"cli"}),
}
"""What each room may import. The package's own `__init__` is the facade: it may import any room, and lends
the rooms nothing but `__version__`. A type may be imported from `domain` for checking alone anywhere."""

INNER_FLOORS: Mapping[str, tuple[str, ...]] = {
    "optimize": ("choices", "wide", "search", "confirmation", "alternatives", "outlook", "verdict"),
}
"""Folders of a room, the lowest first: each imports from itself and from those below; what lies in the room itself
is above them all."""

MATHEMATICS = {"numpy", "scipy", "numba", "networkx", "polars", "statistics", "random"}
FILE_FORMATS = {"json", "tomllib", "csv", "polars", "pyarrow", "pandas", "yaml", "safetensors", "sqlite3"}
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
OUTSIDE_WORLD = {
    *("os", "io", "time", "socket", "ssl", "subprocess", "shutil", "tempfile", "glob", "platform", "pathlib"),
    *(
        "urllib",
        "http",
        "requests",
        "httpx",
        "asyncio",
        "selectors",
        "getpass",
        "psutil",
        "resource",
        "signal",
    ),
    *("importlib.resources", "importlib.metadata"),
}
OUTSIDE_CALLS = {
    *("open", "input", "now", "today", "utcnow", "getenv", "read_text", "write_text", "read_bytes"),
    *("write_bytes", "mkdir", "unlink", "iterdir", "read_parquet", "scan_parquet", "write_parquet"),
    *("sink_parquet", "read_csv", "scan_csv", "write_csv", "read_ndjson", "write_ndjson", "read_json"),
    *("load_file", "save_file", "loadtxt", "savetxt", "genfromtxt", "fromfile", "tofile", "memmap", "savez"),
}
WORLDLY_ROOMS = {"files", "measure", "testbed", "cli"}
WORLDLY_MODULES = {f"{PACKAGE}.pair.train", f"{PACKAGE}.pair.corpus"}
"""A script that is run by hand, and its text: the sources of Python's own library."""
OWN_DATA_READERS = {"pair", "report"}
OWN_DATA = {"importlib.resources", "read_bytes", "read_text"}
NAMELESS = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


def room(module: str) -> str:
    """`dsd_plan.model.rounds` is of the room `model`; the facade is `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(text: str, *, types_too: bool = True) -> Iterator[str]:
    """Every imported dotted name, wherever it stands; `from a import b` gives `a.b`.

    With `types_too=False` those under `if TYPE_CHECKING:` are left out.
    """
    for node in nodes(ast.parse(text), types_too):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def nodes(tree: ast.AST, types_too: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if not types_too and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from nodes(child, types_too)


def calls(text: str) -> Iterator[str]:
    """The last name of everything called: `Path(x).read_text()` gives `read_text` and `Path`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id


def is_from(name: str, libraries: set[str]) -> bool:
    """Whether a dotted name is one of the libraries or lies in one."""
    return any(name == library or name.startswith(f"{library}.") for library in libraries)


def outside_imports(sources: Sources, rooms: set[str], libraries: set[str]) -> list[str]:
    return [
        f"{module} imports {name}"
        for module, text in sources.items()
        if room(module) in rooms
        for name in imports(text)
        if is_from(name, libraries)
    ]


def rooms_import_only_what_their_floor_allows(sources: Sources) -> list[str]:
    found = []
    for module, text in sources.items():
        here = room(module)
        if here == "__init__":
            continue
        if here not in FLOORS:
            found.append(f"{module}: the room {here!r} is not in the floors table")
            continue
        working = set(imports(text, types_too=False))
        for name in imports(text):
            if not is_from(name, {PACKAGE}) or name == f"{PACKAGE}.__version__":
                continue
            there = room(name)
            allowed = {here, *FLOORS[here]} | (set() if name in working else {"domain"})
            if there not in allowed:
                found.append(f"{module} imports {name}: {here} may import {sorted(FLOORS[here])}")
    return found


def folders_of_a_room_import_only_from_below(sources: Sources) -> list[str]:
    found = []
    for module, text in sources.items():
        floors = INNER_FLOORS.get(room(module), ())
        found += [
            f"{module} imports {name} from above"
            for name in imports(text, types_too=False)
            if is_from(name, {f"{PACKAGE}.{room(module)}"}) and height(name, floors) > height(module, floors)
        ]
    return found


def height(module: str, floors: tuple[str, ...]) -> int:
    """Of a module among the folders of its room."""
    folder = ".".join(module.split(".")[2:3])
    return floors.index(folder) if folder in floors else len(floors)


def report_computes_nothing(sources: Sources) -> list[str]:
    return outside_imports(sources, {"report"}, MATHEMATICS)


def domain_knows_no_file_format(sources: Sources) -> list[str]:
    return outside_imports(sources, {"domain"}, FILE_FORMATS)


def nothing_is_pickled(sources: Sources) -> list[str]:
    return outside_imports(sources, {room(module) for module in sources}, PICKLES)


def only_worldly_rooms_touch_the_world(sources: Sources) -> list[str]:
    """Disk, clock, network, environment; `pair` and `report` may read their own package data."""
    found = []
    for module, text in sources.items():
        here = room(module)
        if here in WORLDLY_ROOMS or module in WORLDLY_MODULES:
            continue
        reads_own_data = here in OWN_DATA_READERS and any(is_from(n, {"importlib"}) for n in imports(text))
        own = OWN_DATA if reads_own_data else set()
        found += [
            f"{module} imports {name}"
            for name in imports(text, types_too=False)
            if is_from(name, OUTSIDE_WORLD) and not is_from(name, own)
        ]
        found += [f"{module} calls {name}()" for name in calls(text) if name in OUTSIDE_CALLS - own]
    return found


def no_imports_go_in_a_circle(sources: Sources) -> list[str]:
    graph = nx.DiGraph()
    for module, text in sources.items():
        for name in imports(text, types_too=False):
            target = name if name in sources else name.rpartition(".")[0]
            if target in sources and name != f"{PACKAGE}.__version__":
                graph.add_edge(module, target)
    circles = [sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1]
    circles += [[module] for module in nx.nodes_with_selfloops(graph)]
    return [" <-> ".join(circle) for circle in circles]


def no_file_is_too_long(sources: Sources) -> list[str]:
    lengths = {module: len(text.splitlines()) for module, text in sources.items()}
    return [f"{module} has {lines} lines" for module, lines in lengths.items() if lines > LONGEST_FILE_LINES]


def modules_are_named_by_what_they_do(sources: Sources) -> list[str]:
    return [module for module in sources if NAMELESS & set(module.split("."))]


def no_import_is_relative(sources: Sources) -> list[str]:
    """The rules above read absolute names, so a relative import would slip past them."""
    return [
        f"{module}, line {node.lineno}"
        for module, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


PLANTED: Mapping[Rule, tuple[Sources, ...]] = {
    rooms_import_only_what_their_floor_allows: (
        {"dsd_plan.model.rounds": "from dsd_plan.replay.engine import run"},
        {"dsd_plan.replay.engine": "def f():\n    import dsd_plan.model"},
        {"dsd_plan.report.page": "from dsd_plan.model import predict"},
        {"dsd_plan.queueing": "from dsd_plan.errors import InputError"},
        {"dsd_plan.files.scenario": "from dsd_plan import planning"},
        {"dsd_plan.domain.plan": "from dsd_plan import load_scenario"},
        {"dsd_plan.cli.predict": "from dsd_plan.model import predict"},
        {"dsd_plan.attic": ""},
    ),
    folders_of_a_room_import_only_from_below: (
        {"dsd_plan.optimize.choices.words": "from dsd_plan.optimize.search.search import search"},
        {"dsd_plan.optimize.verdict.verdict": "from dsd_plan.optimize import run"},
        {"dsd_plan.optimize.wide.kernel": "def f():\n    import dsd_plan.optimize.outlook.maps"},
    ),
    report_computes_nothing: (
        {"dsd_plan.report.page": "import numpy as np"},
        {"dsd_plan.report": "def f():\n    from scipy.stats import norm"},
    ),
    domain_knows_no_file_format: (
        {"dsd_plan.domain.plan": "import json"},
        {"dsd_plan.domain": "from polars import DataFrame"},
    ),
    nothing_is_pickled: ({"dsd_plan.files.study": "def f():\n    import pickle"},),
    only_worldly_rooms_touch_the_world: (
        {"dsd_plan.model.rounds": "import time"},
        {"dsd_plan.planning": "from os import environ"},
        {"dsd_plan.domain.plan": "from pathlib import Path"},
        {"dsd_plan.report.page": "def f(path):\n    return path.read_text()"},
        {"dsd_plan.replay.engine": "open('log')"},
        {"dsd_plan.calibrate": "import datetime\ndatetime.datetime.now()"},
        {"dsd_plan.pair.weights": "import numpy as np\nnp.fromfile('weights')"},
        {"dsd_plan.pair.weights": "import os"},
        {"dsd_plan.optimize": "import polars as pl\npl.read_parquet('x')"},
    ),
    no_imports_go_in_a_circle: (
        {"dsd_plan.a": "from dsd_plan.b import f", "dsd_plan.b": "def f():\n    from dsd_plan import a"},
        {
            "dsd_plan.a": "import dsd_plan.b",
            "dsd_plan.b": "import dsd_plan.c",
            "dsd_plan.c": "import dsd_plan.a",
        },
    ),
    no_file_is_too_long: ({"dsd_plan.model": "x = 1\n" * (LONGEST_FILE_LINES + 1)},),
    modules_are_named_by_what_they_do: (
        {"dsd_plan.utils": ""},
        {"dsd_plan.model.helpers": ""},
        {"dsd_plan.common.law": ""},
    ),
    no_import_is_relative: ({"dsd_plan.model.rounds": "from . import law"},),
}

ALLOWED: Mapping[Rule, tuple[Sources, ...]] = {
    rooms_import_only_what_their_floor_allows: (
        {"dsd_plan.model.rounds": "from dsd_plan.model.law import f\nfrom dsd_plan.queueing import erlang_b"},
        {"dsd_plan.planning": "from dsd_plan import __version__\nfrom dsd_plan.optimize import search"},
        {"dsd_plan.queueing": "if TYPE_CHECKING:\n    from dsd_plan.domain import Plan"},
    ),
    folders_of_a_room_import_only_from_below: (
        {"dsd_plan.optimize.run": "from dsd_plan.optimize.verdict.verdict import verdict"},
        {"dsd_plan.optimize.search.around": "from dsd_plan.optimize.search.rivals import best_near"},
        {"dsd_plan.optimize.outlook.maps": "from dsd_plan.optimize.choices.choice import Choice"},
    ),
    only_worldly_rooms_touch_the_world: (
        {"dsd_plan.files.scenario": "import os\nopen('x')"},
        {"dsd_plan.pair.train": "import time\nopen('x')"},
        {"dsd_plan.pair": "from importlib.resources import files\nfiles('a').joinpath('b').read_bytes()"},
    ),
    no_imports_go_in_a_circle: (
        {
            "dsd_plan.a": "from dsd_plan.b import f",
            "dsd_plan.b": "if TYPE_CHECKING:\n    from dsd_plan import a",
        },
    ),
    no_file_is_too_long: ({"dsd_plan.model": "x = 1\n" * LONGEST_FILE_LINES},),
}


@pytest.fixture(scope="module")
def package() -> Sources:
    """The package's own sources."""
    sources = {}
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES.parent).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    assert f"{PACKAGE}.errors" in sources
    return sources


@pytest.mark.parametrize("rule", PLANTED, ids=lambda rule: rule.__name__)
def test_package_keeps_the_rule(rule: Rule, package: Sources) -> None:
    assert rule(package) == []


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [(rule, wrong) for rule, cases in PLANTED.items() for wrong in cases],
    ids=lambda value: value.__name__ if callable(value) else next(iter(value)),
)
def test_rule_finds_a_planted_violation(rule: Rule, wrong: Sources) -> None:
    assert rule(wrong)


@pytest.mark.parametrize(
    ("rule", "right"),
    [(rule, right) for rule, cases in ALLOWED.items() for right in cases],
    ids=lambda value: value.__name__ if callable(value) else next(iter(value)),
)
def test_rule_allows_what_the_design_allows(rule: Rule, right: Sources) -> None:
    assert rule(right) == []
