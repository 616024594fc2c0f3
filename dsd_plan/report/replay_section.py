"""Section 8: a replay to look into."""

from __future__ import annotations

from dsd_plan.domain.excerpt import Excerpt
from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Prose, Section, by_case
from dsd_plan.report.markup import printable
from dsd_plan.report.numbers import multiple
from dsd_plan.report.replay_figures import excerpt_charts

ELSEWHERE = (
    "`dsd-plan replay` with `--timeline out.json` writes a stretch of a replay, every iteration, draft and message of "
    "it, as a trace that the Perfetto viewer and Chrome's tracing open."
)


def replay_section(study: Study) -> Section:
    """Requests, iterations, queue and windows of a stretch of the replay, where the study holds one."""
    found = [(excerpt, excerpt_charts(excerpt, at)) for at, excerpt in enumerate(study.timeline)]
    blocks: list[Block] = []
    if found:
        blocks.append(Prose(" ".join(_about(excerpt) for excerpt, _ in found[:MOST_TOLD])))
    blocks += by_case("Target", tuple((_title(excerpt), charts) for excerpt, charts in found if charts))
    if not blocks:
        blocks.append(Prose("The study holds no stretch of its replay."))
    blocks.append(Prose(ELSEWHERE))
    return Section("replay", "A replay", "What happens in a replay?", _so_what(study), tuple(blocks))


MOST_TOLD = 3


def _title(excerpt: Excerpt) -> str:
    return f"{printable(excerpt.device)}, replica {excerpt.replica + 1}"


def _about(excerpt: Excerpt) -> str:
    which = f"replica {excerpt.replica + 1} of {excerpt.replicas}" if excerpt.replicas > 1 else "the only replica"
    return (
        f"Shown is {which} of {printable(excerpt.device)} for {multiple(excerpt.lasts_ms / 1000)} s, "
        f"{multiple(excerpt.began_at_s)} s after the run began."
    )


def _so_what(study: Study) -> str:
    if not study.replayed.steady:
        return "The replay found no steady state: queues grow as long as it runs."
    return "Where a number above looks odd, look here at what the device does meanwhile."
