"""Link profiles on disk, and the scenario that takes one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.fleet import Link, RttTrace, measured_link
from dsd_plan.domain.link_profile import JitterFit, LinkProfile, LossEstimate, OneWay, PayloadRtt, RttMoment, RttStats
from dsd_plan.domain.network import route
from dsd_plan.domain.summary import summary
from dsd_plan.errors import ProfileError, SchemaVersionError, TraceError
from dsd_plan.files import load_link, load_rtt_trace, load_scenario, write_link, write_rtt_trace

if TYPE_CHECKING:
    from tests.files.conftest import Folder

Complain = Callable[..., dict[str, str]]

RTT = RttStats(
    mean=42.0,
    std=3.0,
    min=38.0,
    p50=41.0,
    p95=47.0,
    p99=52.0,
    p50_low=40.8,
    p50_high=41.2,
    p95_low=46.0,
    successive=2.0,
)
WAY = OneWay(excess_std_ms=2.0, excess_p50_ms=1.0, excess_p95_ms=5.0, excess_p99_ms=8.0)
LINK = LinkProfile(
    listener="far:47311",
    measured_at="2026-01-01T00:00:00+00:00",
    software={"dsd-plan": "0.1.0"},
    method={"for_s": 30.0, "udp": "works", "ended_early": None},
    transport="udp",
    samples=900,
    rtt_ms=RTT,
    by_payload=(PayloadRtt(transport="udp", up_bytes=16, down_bytes=8, samples=900, rtt_ms=RTT),),
    up=WAY,
    down=replace(WAY, excess_std_ms=1.0),
    up_share=0.8,
    clock_drift_ppm=-3.5,
    jitter_cv=0.1,
    jitter_fit=JitterFit(p95_error=-0.04, p99_error=0.02, clipped=False),
    uplink_mbps=18.5,
    downlink_mbps=95.0,
    loss=0.01,
    loss_up=LossEstimate(sent=900, lost=12, share=12 / 900, low=0.007, high=0.023),
    over_time=(RttMoment(at_s=0.75, samples=45, p50_ms=41.0, p95_ms=46.0),),
)
TAKES_IT = ("rtt_ms = 40.0\njitter_cv = 0.2\nuplink_mbps = 20\n", 'profile = "links/metro.json"\n')


@pytest.fixture
def with_link(folder: Folder) -> Folder:
    write_link(folder.path / "links" / "metro.json", LINK)
    text = folder.scenario.read_text(encoding="utf-8")
    assert TAKES_IT[0] in text
    folder.scenario.write_text(text.replace(*TAKES_IT), encoding="utf-8")
    return folder


def spoilt(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "spoilt.json"
    write_link(path, LINK)
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw.update(changes)
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def test_a_link_profile_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "links" / "metro.json"
    write_link(path, LINK)
    assert load_link(path) == LINK
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "dsd-plan/link/1"


def test_round_trips_come_back_as_a_trace(tmp_path: Path) -> None:
    trace = RttTrace(at_s=(0.0, 0.5, 1.25), rtt_ms=(40.0, 44.0, 39.5))
    write_rtt_trace(tmp_path / "rtt.parquet", trace)
    assert load_rtt_trace(tmp_path / "rtt.parquet") == trace
    with pytest.raises(TraceError, match=r"end in \.parquet"):
        write_rtt_trace(tmp_path / "rtt.csv", trace)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"jitter_cv": "0.1"}, 'jitter_cv: found "0.1" (text), expected a number from 0 to 1'),
        ({"clock_drift_ppm": "fast"}, 'clock_drift_ppm: found "fast" (text), expected a number'),
        ({"schema": "dsd-plan/profile/1"}, 'the file is a profile ("dsd-plan/profile/1"), expected "dsd-plan/link/1"'),
        ({"loss": 1.0}, "loss: found 1, expected less than 1"),
        ({"rtt_ms": {"mean": 1.0}}, "rtt_ms.p50: missing"),
        ({"jiter_cv": 0.1}, "unknown key"),
        ({"up": {"excess_std_ms": 1, "excess_p50_ms": 1, "excess_p95_ms": 1, "excess_p99_ms": 1, "mean_ms": 9}},
         "down.mean_ms: missing beside up.mean_ms"),
        ({"loss_up": {"sent": 3, "lost": 5, "share": 0.5, "low": 0.6, "high": 0.7}}, "5 lost of 3 sent"),
        ({"loss_up": {"sent": 9, "lost": 5, "share": 0.5, "low": 0.6, "high": 0.7}}, "share is not between"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_link_profile_is_named(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ProfileError) as failure:
        load_link(spoilt(tmp_path, **changes))
    assert text in str(failure.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"p95": 40.0}, "p95 is 40, below p50 at 41"),
        ({"p50_low": 41.1}, "p50 is not between p50_low and p50_high"),
        ({"mean": 30.0}, "mean is 30, below min at 38"),
    ],
)
def test_round_trips_that_cannot_be_are_not_written(tmp_path: Path, changes: dict[str, float], text: str) -> None:
    with pytest.raises(ProfileError, match=text):
        write_link(tmp_path / "x.json", replace(LINK, rtt_ms=replace(RTT, **changes)))
    assert not (tmp_path / "x.json").exists()


def test_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaVersionError, match="upgrade dsd-plan"):
        load_link(spoilt(tmp_path, schema="dsd-plan/link/2"))


def test_a_scenario_takes_every_number_from_the_profile(with_link: Folder) -> None:
    scenario = load_scenario(with_link.scenario)
    (link,) = scenario.links
    assert link == measured_link(("clinic", "region"), LINK)
    assert (link.rtt_ms, link.jitter_cv, link.uplink_mbps, link.downlink_mbps, link.loss) == (
        42.0,
        0.1,
        18.5,
        95.0,
        0.01,
    )
    known = route(scenario, "clinic", "region")
    assert known is not None
    assert (known[0][0].mean_ms, known[0][0].mbps, known[1][0].mbps) == (21.0, 18.5, 95.0)
    data = (with_link.path / "links" / "metro.json").read_bytes()
    hashes = {file.path: file.sha256 for file in scenario.inputs}
    assert hashes["links/metro.json"] == hashlib.sha256(data).hexdigest()


def test_the_summary_says_where_the_numbers_come_from(with_link: Folder) -> None:
    told = summary(load_scenario(with_link.scenario))["links"][0]
    assert told["rtt_ms"] == 42.0
    assert told["profile"] == {
        "measured_at": "2026-01-01T00:00:00+00:00",
        "transport": "udp",
        "samples": 900,
        "rtt_p95_ms": 47.0,
        "up_share": 0.8,
        "jitter_p95_error": -0.04,
    }
    json.dumps(told)


def test_with_synchronised_clocks_each_way_has_its_delay(with_link: Folder) -> None:
    ways = {"up": replace(WAY, mean_ms=30.0), "down": replace(WAY, mean_ms=12.0)}
    write_link(with_link.path / "links" / "metro.json", replace(LINK, **ways))
    (link,) = load_scenario(with_link.scenario).links
    assert link.rtt_ms is None
    assert link.one_way_ms == (30.0, 12.0)


def test_what_udp_did_not_tell_is_not_counted_twice(with_link: Folder) -> None:
    write_link(with_link.path / "links" / "metro.json", replace(LINK, transport="tcp", loss=None, loss_up=None))
    (link,) = load_scenario(with_link.scenario).links
    assert link.loss == 0.0


@pytest.mark.parametrize("key", ["rtt_ms", "up_ms", "down_ms", "jitter_cv", "uplink_mbps", "downlink_mbps", "loss"])
def test_no_number_may_stand_beside_a_profile(with_link: Folder, complaints: Complain, key: str) -> None:
    found = complaints((TAKES_IT[1], f"{TAKES_IT[1]}{key} = 0.5\n"))
    assert found == {f"links[0].{key}": "given beside profile, which brings it; leave one of them out"}


def test_all_that_is_wrong_comes_in_one_message(with_link: Folder, complaints: Complain) -> None:
    path = with_link.path / "links" / "metro.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["jitter_cv"] = 2
    path.write_text(json.dumps(raw), encoding="utf-8")
    found = complaints((TAKES_IT[1], f"{TAKES_IT[1]}rtt_ms = 5\nloss = 0.1\n"), ("count = 24", "count = 0"))
    assert set(found) == {"links[0].rtt_ms", "links[0].loss", "links[0].profile", "devices[0].count"}
    assert found["links[0].profile"].startswith("links/metro.json: jitter_cv: found 2")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"links/none.json"', "links/none.json: no such file"),
        ("7", "found 7, expected the path of a link profile"),
        ('"profiles/gpu/big.json"', "profiles/gpu/big.json: "),
    ],
)
def test_what_is_no_link_profile_is_named(with_link: Folder, complaints: Complain, written: str, text: str) -> None:
    found = complaints((TAKES_IT[1], f"profile = {written}\n"))
    assert set(found) == {"links[0].profile"}
    assert text in found["links[0].profile"]


def test_a_link_in_python_has_its_profile_s_numbers(with_link: Folder) -> None:
    scenario = load_scenario(with_link.scenario)
    assert scenario_problems(scenario) == ()
    other = replace(scenario, links=(replace(scenario.links[0], loss=0.5, jitter_cv=0.0),))
    assert [str(problem) for problem in scenario_problems(other)] == [
        "links[0].jitter_cv: is not what the profile says; let the profile give it",
        "links[0].loss: is not what the profile says; let the profile give it",
    ]
    bare = replace(scenario, links=(Link(between=("clinic", "region"), profile=LINK),))
    assert "links[0]" in {problem.place for problem in scenario_problems(bare)}
