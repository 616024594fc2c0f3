"""Section 8: a replay to look into."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Prose, Section
from dsd_plan.report.tables import records_table

ELSEWHERE = (
    "`dsd-plan replay` with `--timeline out.json` writes a stretch of a replay, every iteration, draft and message of "
    "it, as a trace that the Perfetto viewer and Chrome's tracing open."
)


def replay_section(study: Study) -> Section:
    """Sessions and batches of a stretch of the replay, where the study holds one."""
    blocks: list[Block] = []
    if study.timeline:
        blocks.append(records_table("Requests of a stretch of the replay", _followed(study), "timeline"))
    else:
        blocks.append(Prose("The study holds no stretch of its replay."))
    blocks.append(Prose(ELSEWHERE))
    return Section("replay", "A replay", "What happens in a replay?", _so_what(study), tuple(blocks))


def _followed(study: Study) -> list[dict[str, Any]]:
    columns = ("request", "workload", "mode", "prompt_tokens", "output_tokens", "came_ms", "ended_ms")
    return [
        {"device": excerpt.device, **{column: getattr(session, column) for column in columns}}
        for excerpt in study.timeline
        for session in excerpt.sessions
    ]


def _so_what(study: Study) -> str:
    if not study.replayed.steady:
        return "The replay found no steady state: queues grow as long as it runs."
    return "Where a number looks odd, play the plan again with a timeline and look at what the devices do."
