"""Where the joules go, and who pays."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.attribution import EnergyPart
from dsd_plan.report.blocks import Chart, Prose
from dsd_plan.report.energy import energy_blocks
from tests.report.studies import full_study

PARTS = (
    EnergyPart(device="gpu", part="verify", energy_j_per_token=1.5, share=0.6),
    EnergyPart(device="gpu", part="idle", energy_j_per_token=0.25, share=0.1),
    EnergyPart(device="box", part="drafts accepted", energy_j_per_token=0.25, share=0.1),
    EnergyPart(device="box", part="drafts rejected", energy_j_per_token=0.5, share=0.2),
)


def test_parts_stack_to_each_device() -> None:
    chart = energy_blocks(replace(full_study(), energy_parts=PARTS))[0]
    assert isinstance(chart, Chart)
    drawn = [(trace["x"], trace["y"], trace["text"]) for trace in chart.data]
    assert [x for x, _, _ in drawn] == [[1.5], [0.25], [0.5], [0.25]]
    assert [y[0].strip("\u2068\u2069") for _, y, _ in drawn] == ["gpu", "box", "box", "gpu"]
    assert str(chart.answer).startswith(
        "Most goes into verification on \u2068gpu\u2069: 1.50\u202fJ a token, 60.0\u202f% of all."
    )
    assert str(chart.answer).endswith("Drafts that were rejected take 20.0\u202f%.")


def test_energy_that_is_not_known_is_not_drawn() -> None:
    parts = (EnergyPart(device="gpu", part="verify", energy_j_per_token=None, share=None),)
    blocks = energy_blocks(replace(full_study(), energy_parts=parts))
    assert len(blocks) == 1
    assert isinstance(blocks[0], Prose)
