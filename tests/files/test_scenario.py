"""A scenario from disk: what it resolves to, and every problem of it and of its files in one message."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace, TokenTrace
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace
from dsd_plan.errors import ScenarioError, SchemaVersionError
from dsd_plan.files import load_scenario, write_acceptance
from tests.domain.clinic import REQUESTS, ROUNDS, TOKENS
from tests.files.conftest import PROFILE

if TYPE_CHECKING:
    from tests.files.conftest import Folder

Complain = Callable[..., dict[str, str]]


def test_everything_is_resolved(folder: Folder) -> None:
    scenario = load_scenario(folder.scenario)
    gpu = scenario.device("gpu")
    assert gpu.profiles["big"] == PROFILE
    assert gpu.profiles["small"].origin == "declared"
    assert gpu.cost_per_hour == 4.0  # a whole number is a number
    box = scenario.device("box")
    assert box.profiles["small"].fit.law.step_ms == 7.0
    assert (box.profiles["small"].active_w, box.profiles["small"].power_source) == (30.0, "declared")
    trace = scenario.pair("small", "big").acceptance
    assert isinstance(trace, TokenTrace)
    np.testing.assert_array_equal(trace.match, TOKENS.match)
    chat = scenario.workload("chat")
    assert isinstance(chat.requests, RequestTrace)
    np.testing.assert_array_equal(chat.requests.prompt_tokens, REQUESTS.prompt_tokens)
    assert scenario.workload("night").requests == ClosedRequests(
        users=40, think_s=2.0, prompt_tokens=300, output_tokens=128
    )


def test_what_is_left_out_has_the_documented_default(folder: Folder) -> None:
    scenario = load_scenario(folder.edit(("windows = [1, 2, 4]", "")))
    link, device, pair = scenario.links[0], scenario.device("box"), scenario.pairs[0]
    assert (link.loss, link.downlink_mbps) == (0.0, None)
    assert (device.batch_cap, device.token_cap, device.available, device.cost_per_hour) == (None, None, 1.0, 0.0)
    assert (pair.wire, pair.kind, pair.verify_via) == ("ids", "model", "native")
    assert scenario.search.windows == tuple(range(1, 13))
    assert scenario.search.modes == ("target_only", "fused", "distributed", "pipelined")
    assert scenario.search.minimize == "cost"
    assert scenario.site("clinic").count == 1


def test_every_file_read_is_told_with_its_hash(folder: Folder) -> None:
    scenario = load_scenario(folder.scenario)
    expected = {str(folder.scenario): folder.scenario, "profiles/gpu/big.json": folder.profile}
    expected |= {name: folder.path / name for name in ("traces/pair.parquet", "traces/chat.parquet")}
    assert {file.path: file.sha256 for file in scenario.inputs} == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in expected.items()
    }
    assert len(scenario.inputs) == 4


def test_a_file_named_twice_is_read_once(folder: Folder) -> None:
    folder.edit(('site = "region"\ncount = 2', 'site = "region"\ncount = 3'))
    text = folder.scenario.read_text()
    device = text[text.index('[[devices]]\nname = "gpu"') : text.index("[[pairs]]")]
    folder.scenario.write_text(text.replace(device, device + device.replace('"gpu"', '"gpu2"')))
    scenario = load_scenario(folder.scenario)
    assert len(scenario.inputs) == 4
    assert scenario.device("gpu").profiles["big"] is scenario.device("gpu2").profiles["big"]


def test_paths_are_relative_to_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load_scenario(folder.scenario).name == "clinics"
    monkeypatch.chdir(folder.path / "traces")
    scenario = load_scenario(Path("..") / "clinics.toml")
    assert scenario.inputs[0].path == "../clinics.toml"


def test_declared_forms(folder: Folder) -> None:
    scenario = load_scenario(
        folder.edit(
            ('acceptance = "traces/pair.parquet"', "acceptance = { survival = [0.8, 0.5] }"),
            ('requests = "traces/chat.parquet"', "requests = { rate_per_s = 6, prompt_tokens = 3, output_tokens = 1 }"),
            ("rate_per_s = 12.0\n", ""),
            ("windows = [1, 2, 4]", ""),
        )
    )
    assert scenario.pairs[0].acceptance == AcceptanceLaw(survival=(0.8, 0.5))
    assert scenario.workload("chat").requests == PoissonRequests(rate_per_s=6.0, prompt_tokens=3, output_tokens=1)


def test_a_round_trace_is_told_from_a_token_trace(folder: Folder) -> None:
    write_acceptance(folder.path / "traces" / "pair.parquet", ROUNDS)
    scenario = load_scenario(folder.edit(('task = "code"\n', "")))
    assert isinstance(scenario.pairs[0].acceptance, RoundTrace)


def test_all_problems_of_all_files_are_in_one_message(folder: Folder, complaints: Complain) -> None:
    profile = folder.profile.read_text()
    folder.profile.write_text(profile.replace('"batch": 8', '"batch": "8"', 1).replace('"mad": null', '"mdd": 1', 1))
    found = complaints(
        ("memory_gib = 16.0", "memory_gb = 16.0"),
        ("count = 24", "count = 2.5"),
        ("jitter_cv = 0.2", 'jitter_cv = "0.2"'),
        ('site = "clinic"\ntarget', 'site = "clinik"\ntarget'),
        ('"traces/chat.parquet"', '"traces/chatt.parquet"'),
        ("windows = [1, 2, 4]", "windows = [1, 0]"),
        ("[search]", "[serach]"),
        ("[budgets]", "[budgets]\npower_w = { bx = 1 }"),
    )
    assert found["devices[0].memory_gb"] == "unknown key; did you mean `memory_gib`?"
    assert found["devices[0].count"] == "found 2.5, expected a whole number, 1 or more; correct it"
    assert found["links[0].jitter_cv"] == 'found "0.2" (text), expected a number from 0 to 1; write 0.2 without quotes'
    assert found["serach"] == "unknown key; did you mean `search`?"
    assert found["workloads[0].site"].startswith('no site is called "clinik"; did you mean "clinic"?')
    assert found['budgets.power_w["bx"]'] == 'no device is called "bx"; did you mean "box"?'
    assert found["workloads[0].requests"].startswith("traces/chatt.parquet: no such file")
    assert 'devices[1].profiles["big"]' in found


def test_problems_of_a_profile_carry_its_name_and_place(folder: Folder) -> None:
    profile = folder.profile.read_text()
    folder.profile.write_text(profile.replace('"batch": 8', '"batch": "8"', 1).replace('"mad": null', '"mdd": 1', 1))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(folder.scenario)
    texts = [problem.text for problem in caught.value.problems]
    assert {problem.place for problem in caught.value.problems} == {'devices[1].profiles["big"]'}
    assert "profiles/gpu/big.json: points[0].latency_ms.mdd: unknown key; did you mean `mad`?" in texts
    assert any(text.startswith('profiles/gpu/big.json: points[4].batch: found "8" (text)') for text in texts)


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ('"profiles/gpu/big.json"', "5", 'devices[1].profiles["big"]', "found 5, expected the path of a profile, or {"),
        ('"profiles/gpu/big.json"', "{ lw = 1 }", 'devices[1].profiles["big"]', "found a table, expected the path"),
        ("{ step_ms = 2.0 }", "{ step = 2.0 }", 'devices[1].profiles["small"].law.step', "did you mean `step_ms`?"),
        ("{ step_ms = 2.0 }", "3", 'devices[1].profiles["small"].law', "found 3, expected a table"),
        (
            "= { law = { step_ms = 2.0 } }",
            "= { law = { step_ms = 2.0 }, x = 1 }",
            'devices[1].profiles["small"].x',
            "known here: law",
        ),
        ('"profiles/gpu/big.json"', '"profiles"', 'devices[1].profiles["big"]', "profiles: is a folder"),
        ('"traces/pair.parquet"', "0.7", "pairs[0].acceptance", "found 0.7, expected the path of a trace, { per_token"),
        ('"traces/pair.parquet"', "{ rate = 0.7 }", "pairs[0].acceptance.rate", "known here: per_token, survival"),
        ('"traces/pair.parquet"', "{ per_token = 1.7 }", "pairs[0].acceptance.per_token", "a number from 0 to 1"),
        ('"traces/pair.parquet"', "{}", "pairs[0].acceptance", "found neither, expected either per_token or survival"),
        ("think_s = 2.0, ", "", "workloads[1].requests.think_s", "missing; expected a number, 0 or more"),
        ("users = 40, think_s = 2.0, ", "", "workloads[1].requests.rate_per_s", "missing; expected a number above 0"),
        ("users = 40,", "users = 40, rate_per_s = 1,", "workloads[1].requests", "closed or open, keep one"),
        ("rtt_ms = 40.0", "trace = 7", "links[0].trace", "expected the path of a trace with columns at_s and rtt_ms"),
        ("windows = [1, 2, 4]", 'windows = "3"', "search.windows", 'found "3" (text), expected a list'),
        ("windows = [1, 2, 4]", 'minimize = "costs"', "search.minimize", "did you mean cost?"),
        ("idle_w = 8.0", "inputs = 1", "devices[0].inputs", "unknown key"),
        ('name = "clinics"', 'name = "clinics"\ninputs = []', "inputs", "unknown key; leave it out"),
        ('name = "clinics"', "name = 2026-01-01", "name", "found a date, expected a name (text)"),
        ('name = "clinics"', "", "name", "missing; expected a name (text); add `name = …`"),
        (
            'between = ["clinic", "region"]',
            'between = ["clinic"]',
            "links[0].between",
            "found a list of 1, expected a list of 2",
        ),
        ("idle_w = 8.0", "idle_w = nan", "devices[0].idle_w", "found nan, expected a finite number"),
        ("count = 24", "count = 99999999999999999999999", "devices[0].count", "a number above 2^53"),
        ('name = "clinics"', 'name = "a\\u001b[31m"', "name", "U+001B"),
        ('"big" = "prof', '"" = "prof', 'devices[1].profiles[""]', "the key is no name: expected 1 to 500 characters"),
        ("schema = 1", 'schema = "1"', "schema", 'found "1" (text), expected 1'),
        ("schema = 1", "schema = true", "schema", "found true, expected 1"),
        ("schema = 1\n", "", "schema", "missing; add `schema = 1`"),
    ],
)
def test_a_wrong_key_is_explained(complaints: Complain, old: str, new: str, place: str, says: str) -> None:
    assert says in complaints((old, new))[place]


@pytest.mark.parametrize(
    ("version", "says"), [("2", "upgrade dsd-plan"), ("0", "no converter"), ("-1", "no converter")]
)
def test_another_schema_is_refused(folder: Folder, version: str, says: str) -> None:
    with pytest.raises(SchemaVersionError, match=says):
        load_scenario(folder.edit(("schema = 1", f"schema = {version}")))


def test_no_message_shows_the_checker_behind_it(folder: Folder) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(folder.edit(("count = 24", 'count = "x"'), ("rtt_ms = 40.0", "rtt_ms = []"), ("[search]", "[x]")))
    message = str(caught.value).lower()
    for word in ("pydantic", "input should", "http", "traceback", "validation error"):
        assert word not in message


def test_hundreds_of_problems_are_counted_not_listed(folder: Folder) -> None:
    sites = "".join(f'[[sites]]\nname = "s{i}"\nx = 1\n' for i in range(500))
    folder.scenario.write_text(folder.scenario.read_text() + sites)
    with pytest.raises(ScenarioError, match="and 400 more; mend these first") as caught:
        load_scenario(folder.scenario)
    assert len(caught.value.problems) == 101


def test_nothing_is_said_twice_or_only_because_of_something_else(complaints: Complain) -> None:
    assert set(complaints(("rtt_ms = 40.0", 'rtt_ms = "40"'))) == {"links[0].rtt_ms"}
    assert set(complaints(('rtt_ms = "40"', "rtt_ms = 40"), ('"traces/pair.parquet"', '"gone"'))) == {
        "pairs[0].acceptance"
    }


def test_one_trace_of_several_workloads_gives_each_its_rows(folder: Folder) -> None:
    import polars as pl

    rows = {"arrival_s": [0.0, 1.0, 2.0, 3.0], "prompt_tokens": [5, 6, 7, 8], "output_tokens": [2, 3, 4, 5]}
    path = next(folder.scenario.parent.rglob("chat.parquet"))
    pl.DataFrame(rows | {"workload": ["chat", "mail", "chat", "mail"]}).write_parquet(path)
    requests = load_scenario(folder.scenario).workload("chat").requests
    assert isinstance(requests, RequestTrace)
    assert requests.prompt_tokens.tolist() == [5, 7]
    pl.DataFrame(rows | {"workload": ["news", "mail", "news", "mail"]}).write_parquet(path)
    with pytest.raises(ScenarioError, match=r"no rows of workload 'chat'; the trace has \['mail', 'news'\]"):
        load_scenario(folder.scenario)


def test_a_bad_link_trace_is_the_only_thing_said_of_its_link(complaints: Complain) -> None:
    assert set(complaints(("rtt_ms = 40.0", 'trace = "gone.csv"'))) == {"links[0].trace"}
