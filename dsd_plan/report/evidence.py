"""What is known of the inputs: acceptance by position and task, step times by device."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.profile import Origin
from dsd_plan.domain.study import AcceptanceEvidence, ProfileEvidence, Study
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose
from dsd_plan.report.figures import axis, layout, token
from dsd_plan.report.markup import FRONT, Html, chart_text, isolated, joined, mark, name, printable, safe
from dsd_plan.report.numbers import UNKNOWN, count, given, quantity, share
from dsd_plan.report.reading import is_declared
from dsd_plan.report.running import profile_origin
from dsd_plan.report.tables import Cell, Number, Table, Words, named

ACCEPTANCE_HELP = (
    "Read it from left to right: the chance that the first, the first two, the first three … proposed tokens of a "
    "round are all accepted. The band is the 95 % interval of what was recorded; a dashed line with hollow points is a "
    "law that somebody declared."
)
SAMPLED = (
    "the target's tokens were sampled. Greedy decoding accepts more, above all with small models, whose greedy text "
    "soon repeats itself; measured that way, acceptance would flatter the plan."
)
GREEDY = (
    "greedy decoding, which accepts more than sampling does, above all with small models, whose greedy text soon "
    "repeats itself. It flatters a plan for users who sample."
)
MOST_METHODS = 12
ABOUT_ACCEPTANCE = ("temperature", "greedy", "acceptance")


def acceptance_charts(study: Study) -> list[Block]:
    """Acceptance by position."""
    return [_acceptance_chart(study)] if study.acceptance else []


def acceptance_blocks(study: Study) -> list[Block]:
    """How acceptance was recorded, and match rates by task."""
    if not study.acceptance:
        return []
    blocks: list[Block] = [*_acceptance_words(study), _acceptance_table(study)]
    if any(evidence.tasks for evidence in study.acceptance):
        blocks.append(_task_table(study))
    return blocks


def profile_blocks(study: Study) -> list[Block]:
    """Step times with their errors, and how each was measured."""
    if not study.profiles:
        return []
    told = [profile for profile in study.profiles if profile.method]
    blocks: list[Block] = [_profile_table(study), *(_method(profile) for profile in told[:MOST_METHODS])]
    if len(told) > MOST_METHODS:
        blocks.append(Prose(f"How {len(told) - MOST_METHODS:,} more were measured is in the study."))
    return blocks


def _pair(evidence: AcceptanceEvidence) -> str:
    return f"{chart_text(evidence.draft)} + {chart_text(evidence.target)}"


def _acceptance_chart(study: Study) -> Chart:
    data: list[dict[str, Any]] = []
    tokens = ("pair-0", "pair-1", "pair-2")
    for at, evidence in enumerate(study.acceptance):
        colour, places = token(tokens[at % len(tokens)]), list(range(1, len(evidence.survival) + 1))
        declared = is_declared(evidence.source)
        if evidence.survival_low and evidence.survival_high:
            data.append(
                {
                    "type": "scatter",
                    "x": places + places[::-1],
                    "y": [*evidence.survival_high, *evidence.survival_low[::-1]],
                    "fill": "toself",
                    "fillcolor": token("pair-band"),
                    "line": {"width": 0},
                    "mode": "lines",
                    "hoverinfo": "skip",
                }
            )
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": places,
                "y": list(evidence.survival),
                "line": {"color": colour, "width": 2, "dash": "dash" if declared else "solid"},
                "marker": {
                    "size": 8,
                    "color": token("paper") if declared else colour,
                    "line": {"color": colour, "width": 2},
                },
                "hovertemplate": f"{_pair(evidence)}<br>first %{{x}} accepted: %{{y:.3f}}<extra></extra>",
            }
        )
    frame = layout(axis("position in the window", dtick=1), axis("survival", range=[0, 1.02]))
    return Chart(
        slug="acceptance",
        question="How many proposed tokens does the target accept?",
        answer=_acceptance_answer(study.acceptance[0]),
        how_to_read=ACCEPTANCE_HELP,
        data=data,
        layout=frame,
        height_px=300,
        key=tuple(
            KeyEntry(
                tokens[at % len(tokens)],
                f"{isolated(e.draft)} + {isolated(e.target)}{' (declared)' if is_declared(e.source) else ''}",
                "dash" if is_declared(e.source) else "line",
            )
            for at, e in enumerate(study.acceptance)
        ),
        numbers=_survival_table(study),
    )


def _acceptance_answer(evidence: AcceptanceEvidence) -> str:
    pair = f"{isolated(evidence.draft)} + {isolated(evidence.target)}"
    first = (
        f"{share(evidence.survival[0])} of first proposals are accepted"
        if evidence.survival
        else "No survival is known"
    )
    last = (
        f", and {share(evidence.survival[-1])} of windows of {len(evidence.survival)} entirely"
        if len(evidence.survival) > 1
        else ""
    )
    source = "by a declared law" if is_declared(evidence.source) else f"over {count(evidence.tokens)} recorded tokens"
    return f"{first}{last} ({pair}, {source})."


def _acceptance_words(study: Study) -> list[Block]:
    """At which temperature acceptance was recorded, and what the study itself says about that."""
    found: list[Block] = []
    for evidence in study.acceptance:
        if evidence.temperature is not None and not is_declared(evidence.source):
            sampled = SAMPLED if evidence.temperature > 0 else GREEDY
            found.append(
                Prose(
                    f"Acceptance of {isolated(evidence.draft)} + {isolated(evidence.target)} was recorded at "
                    f"temperature {given(evidence.temperature)}: {sampled}"
                )
            )
    said = [*study.story, *study.predicted.notes, *study.replayed.notes]
    about = [line for line in dict.fromkeys(said) if any(word in line.lower() for word in ABOUT_ACCEPTANCE)]
    return found + [Prose(_sentence(printable(line))) for line in about]


def _sentence(note: str) -> str:
    """A note as a sentence of its own."""
    return note[:1].upper() + note[1:] + ("" if note.endswith((".", "!", "?")) else ".")


def _acceptance_table(study: Study) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for e in study.acceptance:
        origin: Origin = "declared" if is_declared(e.source) else "measured"
        source = Words(Html(f"{mark(origin, FRONT)} {safe(printable(e.source))}"), e.source)
        pair = Words(Html(f"{name(e.draft)} + {name(e.target)}"), f"{printable(e.draft)} + {printable(e.target)}")
        rows.append(
            (
                pair,
                source,
                e.proposal or UNKNOWN,
                Number(e.temperature, given=True),
                Number(e.tokens, "#"),
                Number(e.requests, "#"),
            )
        )
    columns = ("Pair", "Known from", "Proposals", "Temperature", "Tokens", "Requests")
    return Table("What is known of acceptance", columns, tuple(rows), file="acceptance")


def _survival_table(study: Study) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for e in study.acceptance:
        for at, value in enumerate(e.survival):
            low = e.survival_low[at] if e.survival_low else None
            high = e.survival_high[at] if e.survival_high else None
            rows.append(
                (named(f"{e.draft} + {e.target}"), Number(at + 1, "#"), Number(value), Number(low), Number(high))
            )
    return Table("Survival by position", ("Pair", "Position", "Survival", "Low", "High"), tuple(rows), file="survival")


def _task_table(study: Study) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (named(f"{e.draft} + {e.target}"), named(task), Number(rate, "%"))
        for e in study.acceptance
        for task, rate in sorted((e.tasks or {}).items(), key=lambda item: -item[1])
    ]
    return Table("Share of matching tokens by task", ("Pair", "Task", "Match rate"), tuple(rows), file="tasks")


def _profile_table(study: Study) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for p in study.profiles:
        method = p.method or {}
        drift = method.get("drift")
        rows.append(
            (
                named(p.device),
                named(p.model),
                Words(Html(f"{mark(profile_origin(p.origin), FRONT)} {safe(p.origin)}"), p.origin),
                Number(p.points, "#"),
                Number(p.samples, "#"),
                Number(p.decode_ms, "ms"),
                Number(p.fit_mean_error, "%"),
                Number(p.fit_max_error, "%"),
                Number(drift if isinstance(drift, float | int) else None, "%"),
                contention_word(method.get("contention")),
            )
        )
    columns = (
        *("Device", "Model", "Known from", "Points", "Samples", "One token", "Fit error, mean", "Fit error, worst"),
        *("Drift", "Contention"),
    )
    return Table("What is known of step times", columns, tuple(rows), file="profiles")


def contention_word(value: object) -> str:
    """Whether another program used the machine, as the profile says it."""
    if value is None:
        return UNKNOWN
    return {True: "yes", False: "none"}[value] if isinstance(value, bool) else printable(value)


def _method(profile: ProfileEvidence) -> Folded:
    items = [
        Html(f"<dt>{safe(printable(key).replace('_', ' '))}</dt><dd>{name(_method_value(key, value))}</dd>")
        for key, value in (profile.method or {}).items()
    ]
    when = f", {printable(profile.measured_at)}" if profile.measured_at else ""
    title = f"How {isolated(profile.model)} on {isolated(profile.device)} was measured{when}"
    return Folded(title, Html(f'<dl class="facts">{joined(items)}</dl>'))


def _method_value(key: str, value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: UNKNOWN}[value]
    return quantity(key, value) if isinstance(value, float) else str(value)
