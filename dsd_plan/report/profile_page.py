"""A profile as one self-contained page: how long steps are, what verifying costs, and how far that can be trusted."""

from __future__ import annotations

from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.profile_view import ProfileView
from dsd_plan.report.blocks import Block, Folded, Prose, Section
from dsd_plan.report.markup import Html, isolated, joined, mark_legend, name, printable, safe
from dsd_plan.report.numbers import UNKNOWN, count, milliseconds, number, share, signed_share
from dsd_plan.report.profile_errors import law_chart, widths_chart
from dsd_plan.report.profile_figures import (
    context_chart,
    heat_chart,
    prefill_chart,
    steps_chart,
    summary_table,
    verify_chart,
)
from dsd_plan.report.profile_picture import verify_picture
from dsd_plan.report.profile_words import (
    NOT_VERIFIED,
    cost,
    law_lines,
    power_words,
    shown_cost,
    shown_tables,
    trust_lines,
    verify_sentence,
)
from dsd_plan.report.sheet import Sheet, document_html
from dsd_plan.report.tables import Cell, Number, Table, table_html

IDENTITY = "s1"
ORIGINS = {
    "measured": "Measured",
    "imported": "Imported",
    "declared": "Declared",
}


def render_profile(profile: LatencyProfile, view: ProfileView) -> str:
    """The page as one HTML text, to be opened from disk. `view` is the profile's, from `profile_view`."""
    sheet = Sheet(IDENTITY)
    first = _first_screen(profile, view, sheet)
    sections = [
        _steps(view),
        _verify(view),
        _prompts(view),
        _context(view),
        _trust(profile, view),
        _provenance(profile),
    ]
    shown = [section for section in sections if section is not None]
    body = "".join(sheet.section(section, number_) for number_, section in enumerate(shown, 2))
    links = [("short", "In short"), *((section.slug, section.nav) for section in shown)]
    items = "".join(f'<li><a href="#{IDENTITY}-{slug}">{safe(text)}</a></li>' for slug, text in links)
    made = f'<p class="made">{name(profile.measured_at)}</p>' if profile.measured_at else ""
    return document_html(
        heading=f"{printable(profile.model)} on {printable(profile.device)}",
        skip="Skip to the profile",
        side=(
            f'<div class="contents active" data-part="{IDENTITY}"><p class="study">{name(profile.model)}</p>'
            f"<ol>{items}</ol>{made}</div>"
        ),
        main=(
            f'<article class="part active" id="{IDENTITY}" aria-label="{safe(printable(profile.model))}">\n'
            f'<section class="screen" id="{IDENTITY}-short">{first}</section>\n{body}</article>\n'
        ),
        specs="".join(sheet.specs),
    )


def _first_screen(profile: LatencyProfile, view: ProfileView, sheet: Sheet) -> Html:
    table = shown_tables(view.steps)[0]
    first, last = table.rows[0], table.rows[-1]
    words = f"A plain step takes {milliseconds(first.cells[0].ms)} at batch {first.batch}"
    if last is not first:
        words += (
            f" and {milliseconds(last.cells[0].ms)} at batch {last.batch}, {number(last.tokens_per_s)} tokens a second"
        )
    sentences = [f"{words}.", verify_sentence(table) or NOT_VERIFIED]
    known = [row for row in view.prefill if row.origin != "extrapolated"]
    if known:
        best = max(known, key=lambda row: row.tokens_per_s)
        sentences.append(f"Prompts are read at up to {number(best.tokens_per_s)} tokens a second.")
    picture = verify_picture(table, f"{IDENTITY}-picture")
    lead = ""
    if picture is not None:
        title = f"What verifying costs, over {table.context_tokens:,} tokens of context"
        lead = f'<figure class="lead"><h3>{safe(title)}</h3>{picture}</figure>'
    made = [text for text in (profile.backend, profile.precision, profile.measured_at) if text is not None]
    how = ", ".join(isolated(text) for text in made)
    return Html(
        f'<div class="answer"><span class="tag">{ORIGINS[profile.origin]}</span>'
        f'<span class="small">{safe(how)}</span></div>'
        f'<h1 class="verdict">{name(profile.model)} on {name(profile.device)}</h1>'
        f'<p class="rest">{sheet.terms.mark(" ".join(sentences))}</p>'
        f'<div class="first"><div>{table_html(summary_table(table), f"{IDENTITY}-summary")}</div>{lead}</div>'
        f"{_trust_strip(profile, view)}"
    )


def _trust_strip(profile: LatencyProfile, view: ProfileView) -> Html:
    trust = view.trust
    chips = []
    if trust.points:
        if trust.well_known is None:
            chips.append(("Spread not known", f"{count(trust.points)} steps of one sample each"))
        else:
            known = f"{trust.well_known} of {trust.points} medians within ±3 %"
            chips.append((known, f"{count(trust.samples)} samples"))
        drift = "Drift not recorded" if trust.drift is None else f"Drift {signed_share(trust.drift)}"
        busy = (
            "what the machine did meanwhile is not known" if trust.drift is None else "from the first step to the last"
        )
        chips.append((drift, f"busy: {isolated(trust.contention)}" if trust.contention else busy))
        between = trust.held_out
        if between is None:
            chips.append(("Between points: not checked", "no steps were left out of the table"))
        else:
            worst = f"at most {share(between.max_error)}, on {between.points} steps left out"
            chips.append((f"Between points {share(between.mean_error)} off", worst))
    else:
        chips.append(("Nothing measured", "every time is told by a declared law"))
    if trust.law_mean_error is not None:
        chips.append((f"Law alone {share(trust.law_mean_error)} off", f"at most {share(trust.law_max_error)}"))
    if trust.slicing is not None:
        few, more = trust.slicing.measured_layers
        chips.append((f"Scaled from {few} and {more} of {trust.slicing.layers} layers", "see below"))
    items = "".join(f"<li><strong>{safe(big)}</strong> {safe(small)}</li>" for big, small in chips[:4])
    return Html(
        '<div class="trust"><p><strong>How far to trust it</strong>'
        f'<span class="small legend">{mark_legend()}</span></p><ul>{items}</ul></div>'
    )


def _steps(view: ProfileView) -> Section:
    tables = shown_tables(view.steps)
    blocks: list[Block] = [steps_chart(tables[0])]
    blocks += [heat_chart(table) for table in tables if len(table.new_tokens) > 1]
    first = tables[0].rows[0]
    so_what = (
        f"One sequence alone decodes at {number(first.tokens_per_s)} tokens a second; every number a planner takes "
        "between these points is interpolated, beyond them the law's shape is used."
    )
    if first.batch != 1:
        so_what = "Between these points a planner interpolates; beyond them it uses the law's shape."
    return Section("steps", "How long is a step?", "How long is a step?", so_what, tuple(blocks))


def _verify(view: ProfileView) -> Section | None:
    tables = shown_tables(view.steps)
    alone, full = shown_cost(tables[0].rows[0]), shown_cost(tables[0].rows[-1])
    if alone is None or full is None:
        return None
    first, last = tables[0].rows[0], tables[0].rows[-1]
    so_what = (
        f"With a window of {alone.new_tokens - 1}, a round must yield more than {cost(alone)} tokens at batch "
        f"{first.batch} to beat plain decoding, before the draft has taken any time"
    )
    if last is not first:
        so_what += f"; more than {cost(full)} at batch {last.batch}"
    title = "What does verifying more tokens cost?"
    return Section("verify", "What does verifying cost?", title, f"{so_what}.", tuple(verify_chart(t) for t in tables))


def _prompts(view: ProfileView) -> Section | None:
    if not view.prefill:
        return None
    known = [row for row in view.prefill if row.origin != "extrapolated"]
    longest = max(known, key=lambda row: (row.prompt_tokens, -row.batch))
    so_what = (
        f"Reading a prompt of {longest.prompt_tokens:,} tokens puts {milliseconds(longest.ms)} into the time to first "
        f"token when {'it is read alone' if longest.batch == 1 else f'{longest.batch} are read at once'}."
    )
    title = "How fast is a prompt read?"
    return Section("prompts", title, title, so_what, (prefill_chart(view.prefill),))


def _context(view: ProfileView) -> Section | None:
    if not view.context:
        return None
    ends = [row.cells[-1] for row in view.context]
    worst = max(ends, key=lambda cell: cell.ratio)
    batch = view.context[ends.index(worst)].batch
    so_what = f"At its worst, batch {batch}, the longest context multiplies a plain step by {number(worst.ratio)}."
    return Section("context", "Does context matter?", "Does context matter?", so_what, (context_chart(view),))


def _trust(profile: LatencyProfile, view: ProfileView) -> Section:
    lines = trust_lines(profile, view.trust)
    rows = [Html(f"<dt>{safe(what.capitalize())}</dt><dd>{safe(printable(words))}</dd>") for what, words in lines]
    blocks: list[Block] = [Html(f'<dl class="facts">{joined(rows)}</dl>')]
    told = dict(lines)
    if view.trust.well_known is not None:
        blocks.append(widths_chart(view.points, f"{_sentence(told['medians'])}."))
    if view.points:
        blocks += [
            law_chart(view.points, f"{_sentence(told['beyond'])}."),
            Folded("Every measured step", _points_table(view)),
        ]
    items = joined([Html(f"<li>{safe(words)}</li>") for words in law_lines(profile.fit.law)])
    blocks.append(Html(f'<h3>The fitted law</h3><ul class="lines">{items}</ul>'))
    title = "How far can these numbers be trusted?"
    return Section("trust", "How far to trust it?", title, _trust_so_what(view), tuple(blocks))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _trust_so_what(view: ProfileView) -> str:
    trust = view.trust
    if not trust.points:
        return "Nothing here was measured: a plan that rests on it is worth as much as the declaration."
    if trust.contention is not None:
        return "The machine was busy: measure again on a quiet one before anything rests on these numbers."
    if trust.median_half_width is None:
        return "With one sample a step nothing is known of its error: measure longer."
    drift = 0.0 if trust.drift is None else abs(trust.drift)
    if drift > trust.median_half_width:
        return (
            f"The machine's drift, {share(drift)}, outweighs the medians' own error of "
            f"±{share(trust.median_half_width)}: take differences below it for nothing."
        )
    return f"Take differences below about ±{share(trust.median_half_width)} for nothing."


def _points_table(view: ProfileView) -> Table:
    energy = any(point.energy_j is not None for point in view.points)
    rows = []
    for point in view.points:
        cells: list[Cell] = [
            point.kind,
            Number(point.batch, "#"),
            Number(point.new_tokens, "#"),
            Number(point.context_tokens, "#"),
            Number(point.samples, "#"),
            Number(point.p50_ms),
            Number(point.low),
            Number(point.high),
            Number(point.half_width, "%"),
            Number(point.p95_ms),
            Number(point.p99_ms),
            Number(point.law_error, "%"),
        ]
        rows.append(tuple([*cells, Number(point.energy_j, "J")] if energy else cells))
    columns = (
        *("Step", "Batch", "New", "Context", "Samples", "p50, ms", "from", "to", "±", "p95, ms", "p99, ms", "Law"),
        *(("Energy",) if energy else ()),
    )
    return Table("Every measured step", columns, tuple(rows), file="points", style="long")


def _provenance(profile: LatencyProfile) -> Section:
    facts: list[tuple[str, object]] = [
        ("Device", profile.device),
        ("Model", profile.model),
        ("Origin", profile.origin),
        ("Backend", profile.backend),
        ("Precision", profile.precision),
        ("Measured at", profile.measured_at),
        ("Weights", None if profile.weights_gib is None else f"{number(profile.weights_gib)} GiB"),
        ("KV a token", None if profile.kv_mib_per_token is None else f"{number(profile.kv_mib_per_token)} MiB"),
        ("Power", power_words(profile)),
        ("Taken from", profile.citation),
    ]
    blocks: list[Block] = [_facts([(key, value) for key, value in facts if value is not None])]
    for title, told in (("How it was measured", profile.method), ("Software", profile.software)):
        if told:
            blocks += [Html(f"<h3>{title}</h3>"), _facts(list(told.items()))]
    if len(blocks) == 1:
        blocks.append(Prose("Nothing is recorded of how it was made."))
    title = "Where does it come from?"
    return Section("provenance", "Where from?", title, _again(profile), tuple(blocks))


def _again(profile: LatencyProfile) -> str:
    if profile.origin == "measured":
        return "Measured again on this device with this software, it should agree; `dsd-plan profile compare` tells."
    if profile.origin == "imported":
        return "Others measured this; on your own device `dsd-plan profile device` does."
    return "Nobody measured this; `dsd-plan profile device` does."


def _facts(facts: list[tuple[str, object]]) -> Html:
    rows = [
        Html(f"<dt>{safe(_sentence(printable(key).replace('_', ' ')))}</dt><dd>{name(_shown(value))}</dd>")
        for key, value in facts
    ]
    return Html(f'<dl class="facts">{joined(rows)}</dl>')


def _shown(value: object) -> object:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value
