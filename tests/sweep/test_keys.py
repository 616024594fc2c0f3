"""Keys by the names that users know from the file: found, refused with what is near, and set."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.sweep import Value, axis_of
from dsd_plan.domain.workload import PoissonRequests
from dsd_plan.errors import InputError, PlanError
from dsd_plan.files import copy_example, load_plan
from dsd_plan.files.variations import Variations


@pytest.fixture(scope="module")
def metro(tmp_path_factory: pytest.TempPathFactory) -> Variations:
    folder = tmp_path_factory.mktemp("metro") / "metro"
    copy_example("metro-edge", folder)
    return Variations(folder / "scenario.toml", load_plan(folder / "edge.plan.json"))


def values(metro: Variations, written: str) -> tuple[Value, ...]:
    ((_, found),) = metro.axes([axis_of(written)])
    return found


@pytest.mark.parametrize(
    "key",
    ["links[suburb-region].rtt_ms", "links[region-suburb].rtt_ms", "links[1].rtt_ms"],
)
def test_a_link_is_named_by_its_ends_or_its_position(metro: Variations, key: str) -> None:
    scenario, _ = metro.at({key: 77.0})
    assert [link.rtt_ms for link in scenario.links] == [10.0, 77.0, 100.0]
    assert metro.scenario.links[1].rtt_ms == 40.0


def test_keys_of_every_kind_are_set(metro: Variations) -> None:
    scenario, plan = metro.at(
        {
            "workloads[island-chat].requests.rate_per_s": 2.5,
            "workloads[island-chat].budgets.e2e_p99_ms": 9000,
            "budgets.energy_j_per_token": 3.0,
            'devices[h200].profiles["llama-70b"].law.step_ms': 31,
            "devices[h200].count": 5,
            "sites[region].count": 1,
            "plan.assignments[suburb-chat].window": 2,
            "plan.assignments[2].routing": "random",
            "plan.deployments[h200/llama-70b].batch_cap": 16,
            "plan.assignments[downtown-chat].policy.kind": "threshold",
        }
    )
    island = scenario.workload("island-chat")
    assert isinstance(island.requests, PoissonRequests)
    assert island.requests.rate_per_s == 2.5
    assert island.budgets.e2e_p99_ms == 9000
    assert scenario.budgets.energy_j_per_token == 3.0
    law = scenario.device("h200").profiles["llama-70b"].fit.law
    assert law.step_ms == 31
    assert scenario.device("h200").count == 5
    assert plan.assignments[1].window == 2
    assert plan.assignments[2].routing == "random"
    assert plan.deployments[2].batch_cap == 16
    assert plan.assignments[0].policy.kind == "threshold"


def test_one_rate_takes_the_place_of_survival_and_says_so(metro: Variations) -> None:
    key = "pairs[llama-1b+llama-70b].acceptance.per_token"
    scenario, _ = metro.at({key: 0.8})
    assert scenario.pairs[0].acceptance == AcceptanceLaw(per_token=0.8)
    assert metro.notes([key]) == (f"{key} takes the place of survival",)
    assert metro.notes(["links[0].rtt_ms"]) == ()


def test_values_have_the_type_of_their_key(metro: Variations) -> None:
    assert values(metro, "plan.assignments[suburb-chat].window=1:4:4") == (1, 2, 3, 4)
    assert values(metro, "links[0].jitter_cv=0:0.5:3") == (0, 0.25, 0.5)
    assert values(metro, "plan.assignments[suburb-chat].mode=fused,distributed") == ("fused", "distributed")
    assert values(metro, "devices[h200].async_scheduling=true,false") == (True, False)
    assert values(metro, "workloads[island-chat].task=1,2") == ("1", "2")
    assert values(metro, "pairs[0].acceptance=a.parquet,b.json") == ("a.parquet", "b.json")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("links[suburb-region].rtt=1,2", "unknown key `rtt` in links[suburb-region]; did you mean `rtt_ms`?"),
        ("link[0].rtt_ms=1,2", "unknown key `link`; did you mean `links`?"),
        ("zebra=1,2", "unknown key `zebra`; known here: name, sites, links"),
        ("workloads[island].requests.rate_per_s=1,2", 'workloads has no "island"; did you mean island-chat?'),
        ("workloads[chat].load=1,2", 'workloads has no "chat"; there is downtown-chat, suburb-chat, island-chat'),
        ("links[9].rtt_ms=1,2", "links has no item [9]; the last is [2]"),
        ("faults[0].at_s=1,2", "faults has no item [0]; there is none"),
        ("devices.count=1,2", "name one item of devices: devices[0].count"),
        ("devices[h200]=1,2", "is a table; name one of its keys: name, site, count"),
        ("workloads[0].allowed_sites=region", "is a list; name one item of it"),
        (
            "devices[h200].profiles.llama.law.step_ms=1",
            'devices[h200].profiles has no "llama"; did you mean llama-1b?',
        ),
        ("plan.deployments[h100].count=1", 'plan.deployments has no "h100"; there is downtown-box'),
        ("links[0].rtt_ms[0]=1", "is no list"),
        ("links[0].rtt_ms.x=1", "links[0].rtt_ms holds no keys"),
        ("links[0.rtt_ms=1", "is no key; write it as in the file"),
        ("search.minimize=cost,tpot", "changes nothing"),
        ("links[0].rtt_ms=-1:5:3", "found -1, expected a number, 0 or more"),
        ("links[0].rtt_ms=fast", 'found "fast" (text), expected a number, 0 or more'),
        ("plan.assignments[suburb-chat].window=1:8:3", "found 4.5, expected a whole number, 1 or more"),
        ("plan.assignments[suburb-chat].mode=fussed", "expected one of"),
        ("devices[h200].profiles[llama-70b]=1:2:2", "found 1, expected the name of a file"),
        ("load=0,1", "found 0, expected a number above 0"),
        ("pairs[0].first_accepted=0.5,1.5", "found 1.5, expected a number from 0 to 1"),
    ],
)
def test_what_is_wrong_with_a_key(metro: Variations, written: str, words: str) -> None:
    with pytest.raises(InputError, match="--vary") as caught:
        values(metro, written)
    assert words in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(metro: Variations) -> None:
    asked = [axis_of(text) for text in ("links[0].rtt=1,2", "load=1,2", "load=3,4", "pairs[7].k=1")]
    with pytest.raises(InputError, match="3 problems") as caught:
        metro.axes(asked)
    assert "load: is varied twice" in str(caught.value)


def test_files_cannot_be_varied_inside(tmp_path: Path) -> None:
    copy_example("bundled-pair", tmp_path / "pair")
    plan = load_plan(tmp_path / "pair" / "measured-pair.plan.json")
    pair = Variations(tmp_path / "pair" / "measured-pair.toml", plan)
    device = pair.scenario.devices[0]
    model = next(iter(device.profiles))
    with pytest.raises(InputError, match=r"is the file .*, in which nothing can be varied"):
        values(pair, f'devices[0].profiles["{model}"].law.step_ms=1')
    key = "pairs[0].acceptance.per_token"
    assert pair.notes([key])[0].startswith(f"{key} takes the place of the file ")
    assert pair.at({key: 0.5})[0].pairs[0].acceptance == AcceptanceLaw(per_token=0.5)


def test_what_contradicts_itself_is_told_as_a_file_would_be(metro: Variations) -> None:
    with pytest.raises(PlanError, match="window"):
        metro.at({"plan.assignments[island-chat].window": 3})
    with pytest.raises(InputError, match="no site"):
        metro.at({"workloads[island-chat].site": "moon"})


def test_a_fingerprint_knows_values_plan_and_computation(metro: Variations) -> None:
    one = metro.fingerprint({"load": 1, "links[0].rtt_ms": 5}, {"source": "model"})
    assert one == metro.fingerprint({"links[0].rtt_ms": 5, "load": 1}, {"source": "model"})
    others = [
        metro.fingerprint({"load": 2, "links[0].rtt_ms": 5}, {"source": "model"}),
        metro.fingerprint({"load": 1}, {"source": "model"}),
        metro.fingerprint({"load": 1, "links[0].rtt_ms": 5}, {"source": "replay"}),
    ]
    assert len({one, *others}) == 4
