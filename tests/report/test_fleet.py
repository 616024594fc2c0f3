"""The fleet's picture: who is served where, what joins them, and thousands of sites as a few boxes."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.performance import DevicePerformance, LinkPerformance
from dsd_plan.report.fleet import Fleet, fleet_of
from dsd_plan.report.fleet_picture import fleet_figure
from dsd_plan.report.markup import Html
from tests.report.large import thousand_sites
from tests.report.studies import full_study, tiny_study


def lines(fleet: Fleet, at: int) -> list[str]:
    return [line.text for line in fleet.boxes[at].lines]


def test_users_sites_come_first_with_their_devices() -> None:
    fleet = fleet_of(full_study())
    assert fleet is not None
    assert [(box.title, box.users) for box in fleet.boxes] == [("clinic × 2", True), ("region", False)]
    assert lines(fleet, 0)[:2] == ["chat: 1.2\u202f/s", "distributed γ4 on gpu-server"]
    assert [(wire.ends, wire.text) for wire in fleet.wires] == [((0, 1), "RTT 20\u202fms")]


def test_the_fullest_device_is_marked_alone() -> None:
    study = full_study()
    devices = (
        DevicePerformance(name="edge-box", saturation=0.9, busy=0.9, mean_batch=1.0, power_w=None),
        DevicePerformance(name="gpu-server", saturation=0.4, busy=1.0, mean_batch=4.0, power_w=None),
    )
    fleet = fleet_of(replace(study, replayed=replace(study.replayed, devices=devices)))
    assert fleet is not None
    assert [line.text for box in fleet.boxes for line in box.lines if line.fullest] == ["90.0\u202f% full"]
    assert fleet.answer.endswith("by share of its steps \u2068edge-box\u2069 is the fullest, at 90.0\u202f%.")


def test_a_link_is_the_bottleneck_where_it_is_fuller_than_every_device() -> None:
    study = full_study()
    link = LinkPerformance(
        name="clinic – region", up_busy=0.97, down_busy=0.1, up_bytes_per_s=1e6, down_bytes_per_s=1e5
    )
    fleet = fleet_of(replace(study, replayed=replace(study.replayed, links=(link,))))
    assert fleet is not None
    assert fleet.wires[0].busiest
    assert "97.0\u202f% busy" in fleet.wires[0].more


def test_a_thousand_sites_are_a_few_boxes() -> None:
    fleet = fleet_of(thousand_sites())
    assert fleet is not None
    assert [box.title for box in fleet.boxes] == [
        "store-0000 and 749 more sites",
        "store-0003 and 249 more sites",
        "region",
    ]
    assert [wire.text for wire in fleet.wires] == ["RTT 5–79\u202fms", "RTT 8–80\u202fms"]
    assert sum(len(box.lines) for box in fleet.boxes) < 20


def test_a_study_without_sites_has_no_picture() -> None:
    assert fleet_of(tiny_study()) is None
    assert fleet_figure(tiny_study()) is None


def test_the_picture_is_drawn_for_wide_and_for_narrow_windows() -> None:
    figure = fleet_figure(full_study())
    assert isinstance(figure, Html)
    assert figure.count("<svg") == 2
    assert "to region: RTT 20" in figure
