"""The first screen: the decision in a sentence, options with reasons, one picture, and how far to trust it."""

from __future__ import annotations

import re

from dsd_plan.domain.measurement import Measurement
from dsd_plan.domain.study import Agreement, Option, Study
from dsd_plan.report.keypicture import key_picture
from dsd_plan.report.markup import (
    FRONT,
    FirstUse,
    Html,
    isolated,
    joined,
    mark,
    mark_legend,
    name,
    printable,
    safe,
    short,
)
from dsd_plan.report.numbers import (
    METRICS,
    MINUS,
    THIN,
    count,
    given,
    given_quantity,
    interval,
    label,
    multiple,
    quantity,
    share,
    signed_share,
)
from dsd_plan.report.outlook import robust_label
from dsd_plan.report.reading import (
    ANSWERS,
    KeyMetric,
    best_known,
    busy_devices,
    chosen_curve,
    declared_parts,
    holds_between,
    is_declared,
    key_metric,
    latency,
    option_limit,
    option_numbers,
    origin_of,
    workload_of,
    worst_first,
)
from dsd_plan.report.steady_end import end_of
from dsd_plan.report.summary import option_metrics
from dsd_plan.report.tables import Cell, Number, Table, Words, quantity_cell, table_html

LONGEST_HEADLINE, SHORTEST_HEADLINE = 150, 30
"""Characters; the longest takes two lines at 1280 pixels."""
SOFT_CUT = re.compile(r", (?=mean |but |\d)|: (?=p\d|mean )")
"""Where a headline that is longer may end: before a number of its own."""
NOTHING = Html('<span class="unknown">–</span>')
MOST_DEVICES, FEWER_DEVICES = 4, 2
"""Device types beside an option: as many as are told, and how many of more."""
CHIPS = 3
"""Agreements on the first screen; section 7 has them all."""


def decision_html(study: Study, terms: FirstUse, identity: str, heading: str) -> Html:
    """The whole first screen. `heading` is the level of its heading: h1 for the page's first study."""
    key = key_metric(study)
    verdict = study.verdict
    headline, rest = split_sentence(printable(verdict.sentence))
    more = f'<p class="rest">{terms.mark(rest)}</p>' if rest else ""
    told = robust_label(study)
    robust = Html(f'<p class="rest"><strong>{safe(told)}.</strong></p>') if told else Html("")
    aside = _picture(study, key, terms, identity) if key else Html("")
    return Html(
        f'<p class="answer answer-{verdict.answer}"><span class="tag">{ANSWERS[verdict.answer]}</span>'
        f'<span class="small">{_saves(study)}</span></p>'
        f'<{heading} class="verdict">{terms.mark(headline)}</{heading}>{more}{robust}'
        f"{_measure_next(study, terms)}"
        f'<div class="first"><div class="choices">{_options(study, key, identity)}</div>{aside}</div>'
        f"{trust_strip(study)}"
    )


def _saves(study: Study) -> Html:
    """Speculation against plain decoding, as the study says it."""
    between = study.verdict.saves_between or {}
    parts = [_difference(name, saved, between.get(name)) for name, saved in study.verdict.saves.items() if saved]
    if len(study.predicted.workloads) > 1 and study.verdict.saves.get("tpot_share"):
        parts = [Html(f"{part} over all tokens") if "TPOT" in part else part for part in parts]
    subject = "against" if study.verdict.answer == "yes" else "the best speculative plan against"
    return Html(f"{subject} plain decoding: {joined(parts, ', ')}") if parts else Html("")


def _difference(quantity_name: str, saved: float, ends: tuple[float, float] | None = None) -> Html:
    """What is saved, in words, with its interval; a negative saving is a loss."""
    base = quantity_name.removesuffix("_share")
    what = safe(short(METRICS.get(base, label(base))))
    if base != quantity_name:
        known = ""
        if ends is not None:
            low, high = (100.0 * end for end in (ends if saved > 0 else (-ends[1], -ends[0])))
            known = f" ({low:.2g} to {high:.2g})".replace("-", MINUS)
        return Html(f"{what} {safe(share(abs(saved)) + known)} {'lower' if saved > 0 else 'higher'}")
    shown = given(abs(saved)) if float(saved).is_integer() else quantity(quantity_name, abs(saved))
    return Html(f"{what} {safe(shown)} {'less' if saved > 0 else 'more'}")


def split_sentence(sentence: str) -> tuple[str, str]:
    """A headline and the rest: a long verdict is cut at its first semicolon or full stop, else before a number."""
    if len(sentence) <= LONGEST_HEADLINE:
        return sentence, ""
    cuts = [at for mark in ("; ", ". ") if (at := sentence.find(mark)) >= SHORTEST_HEADLINE]
    if min(cuts, default=len(sentence)) > LONGEST_HEADLINE:
        soft = [at for found in SOFT_CUT.finditer(sentence) if (at := found.start()) >= SHORTEST_HEADLINE]
        nearest = min(soft, default=len(sentence))
        cuts.append(max((at for at in soft if at <= LONGEST_HEADLINE), default=nearest))
    if min(cuts, default=len(sentence)) == len(sentence):
        return sentence, ""
    rest = sentence[min(cuts) + 2 :]
    return f"{sentence[: min(cuts)]}.", rest[:1].upper() + rest[1:]


def _enough(found: Measurement | None) -> str:
    """How much of a measurement is enough."""
    if found is None:
        return ""
    parts = []
    if found.requests is not None:
        parts.append(f"{count(found.requests)} requests")
    elif found.tokens is not None:
        parts.append(f"{count(found.tokens)} tokens")
    if found.minutes is not None:
        parts.append(f"{multiple(found.minutes)} minutes")
    return f" Enough: {', '.join(parts)}." if parts else ""


def _measure_next(study: Study, terms: FirstUse) -> Html:
    text = study.verdict.measure_next
    if not text:
        return Html("")
    # The command stands where a reader asks for it: what to measure is the message.
    enough = _enough(study.verdict.measurement)
    what, colon, how = printable(text).partition(": `")
    if not colon:
        return Html(f'<p class="next"><strong>Measure next.</strong> {terms.mark(what)}</p>')
    return Html(
        f'<details class="next"><summary><strong>Measure next.</strong> {terms.mark(what)}.{safe(enough)}</summary>'
        f"<p>{terms.mark(f'`{how}')}</p></details>"
    )


def _options(study: Study, key: KeyMetric | None, identity: str) -> Html:
    if not study.options:
        return Html('<p class="small">The study compares no options.</p>')
    return table_html(options_table(study, study.options, key, "Options"), f"{identity}-options")


def options_table(study: Study, options: tuple[Option, ...], key: KeyMetric | None, title: str) -> Table:
    """A row an option: the key number, its worst hour or the mean TPOT, TTFT, cost, devices, and why it was chosen."""
    metrics = option_metrics(key)
    worst = f"worst_hour_{'ttft' if key and key.metric.startswith('ttft') else 'tpot'}_p95_ms"
    by_hour = bool(study.hours) or any(option.hours for option in options)
    if by_hour:  # the hours of a day say more than its mean
        metrics = [metric for metric in metrics if metric != "tpot_mean_ms"]
    monthly = by_hour and any(option.cost_per_month is not None for option in options)
    title += f" for {short(key.workload, 16)}" if key and len(study.predicted.workloads) > 1 else ""
    headings = [*(label(metric) for metric in metrics), *(("Worst hour",) if by_hour else ())]
    columns = ("Option", *headings, "Cost a month" if monthly else "Cost an hour", "Devices", "Why")
    rows = []
    for option in options:
        numbers: list[Cell] = []
        seen = workload_of(option_numbers(option), key.workload) if key else None
        for metric in metrics:
            value = latency(seen, metric)
            limit = option_limit(study, option, key.workload, metric) if key else None
            kept = None if limit is None or value is None else value <= limit
            numbers.append(quantity_cell(metric, value, origin_of(study, option.plan, seen, metric), kept))
        if by_hour:
            numbers.append(Number(getattr(option, worst), "ms"))
        numbers.append(Number(option.cost_per_month if monthly else option.cost_per_hour))
        rows.append((_option_name(option), *numbers, _devices(option), _why(option)))
    chosen = frozenset(at for at, option in enumerate(options) if option.chosen)
    style = f"options numbers-{len(headings) + 1}"
    return Table(title, columns, tuple(rows), chosen, file="options", style=style)


def _option_name(option: Option) -> Words:
    """What stands before a colon is the name, what follows explains it."""
    title, colon, more = printable(option.name).partition(": ")
    explained = Html(f"<small>{name(more)}</small>") if colon and len(title) < SHORTEST_HEADLINE else Html("")
    return Words(Html(f"{name(title)}{explained}") if explained else name(option.name), printable(option.name))


def _why(option: Option) -> Words:
    tag = Html('<span class="tag">chosen</span> ') if option.chosen else ""
    said = printable(option.reason)
    if option.drafts_lost is not None:
        survives = "survives" if option.drafts_lost.survives else "does not survive"
        said = f"{said}; {survives} the loss of all drafts"
    return Words(Html(f"{tag}{safe(said)}"), said)


def _devices(option: Option) -> Words:
    parts = [(f"{n:,}", device) for device, n in (option.devices or {}).items()]
    shown = parts
    if len(parts) > MOST_DEVICES:  # the largest groups tell most
        counts = option.devices or {}
        shown = sorted(parts, key=lambda part: -counts[part[1]])[:FEWER_DEVICES]
    lines = [Html(f'<span class="line">{n}{THIN}×{THIN}{name(device)}</span>') for n, device in shown]
    if len(shown) < len(parts):
        lines.append(Html(f'<span class="line">and {len(parts) - len(shown):,} more types</span>'))
    html = joined(lines)
    return Words(html or NOTHING, ", ".join(f"{n} × {printable(device)}" for n, device in parts))


def _picture(study: Study, key: KeyMetric, terms: FirstUse, identity: str) -> Html:
    picture = key_picture(study, key, f"{identity}-picture")
    if picture is None:
        return Html("")
    return Html(
        f'<figure class="lead"><h3>How much load does it bear?</h3>{picture}'
        f"<figcaption>{terms.mark(load_answer(study, key))}</figcaption></figure>"
    )


def load_answer(study: Study, key: KeyMetric) -> str:
    """What the picture shows, in words with its numbers."""
    curve = chosen_curve(study, key.workload)
    metric = label(key.metric)
    if curve is None:
        return "No load curve was drawn for this workload."
    end = end_of(curve)
    ends = f"; {end.sentence}" if end else ""
    if key.limit is None:
        return f"{metric} of {isolated(key.workload)} against load, without a budget{ends}."
    kept, broken = holds_between(curve, key.metric, key.limit)
    limit = given_quantity(key.metric, key.limit)
    if kept is None:
        return f"{metric} is above its budget of {limit} at every load drawn{ends}."
    if broken is None:
        return (
            f"With the plan as it is, {metric} stays within {limit} up to {multiple(kept)} × today's load, the most "
            f"that was drawn{ends}."
        )
    if kept < study.planned_load:
        return f"{metric} is within {limit} only up to {multiple(kept)} × today's load{ends}."
    found = _limit_found(study, key)
    if found is not None:
        return (
            f"With the plan as it is, {metric} stays within {limit} up to {multiple(found)} × today's load, by the "
            f"model as the replay corrects it; the curve is the model's own{ends}."
        )
    return (
        f"With the plan as it is, {metric} stays within {limit} up to {multiple(kept)} × today's load, and not at "
        f"{multiple(broken)} ×{ends}."
    )


def _limit_found(study: Study, key: KeyMetric) -> float | None:
    """The load that the study's capacity names for this budget, which is looked for closer than points are drawn."""
    if study.capacity is None or study.planned_load != 1.0:
        return None
    rows = (row for row in study.capacity.budgets if (row.scope, row.budget) == (key.workload, key.metric))
    return next((row.load for row in rows if row.load), None)


def trust_strip(study: Study) -> Html:
    """How far to trust it: model against observation, the worst number first, and what rests on a declaration."""
    several = len({agreement.workload for agreement in study.agreements}) > 1
    chips = [_chip(agreement, several) for agreement in worst_first(study.agreements)[:CHIPS]]
    if not study.agreements:
        chips.append(Html("<li><strong>Not cross-checked</strong><span>no metric was compared</span></li>"))
    chips.append(_evidence_chip(study))
    observed = "a real run" if study.measured else "replay"
    compared = f" Model against {observed}, worst first." if study.agreements else ""
    unsteady = "" if best_known(study).source != "model" else " The replay found no steady state."
    return Html(
        f'<div class="trust"><p class="small"><span><strong>How far to trust it.</strong>{compared}{unsteady}</span>'
        f'<span class="legend">{mark_legend()}</span></p><ul>{joined(chips)}</ul></div>'
    )


def _chip(agreement: Agreement, several: bool) -> Html:
    seen = agreement.observed
    ends = interval(agreement.metric, seen)
    around = Html(f' <span class="nobr">({safe(ends)})</span>') if ends != "–" else ""
    whose = Html(f"{name(short(agreement.workload, 24))}: ") if several else ""
    return Html(
        f'<li class="{agreement.verdict}"><strong>{safe(label(agreement.metric))} '
        f"{safe(signed_share(agreement.relative_error))} <em>{agreement.verdict}</em></strong>"
        f"<span>{whose}{safe(quantity(agreement.metric, agreement.predicted))} predicted, "
        f"{safe(quantity(agreement.metric, seen.point))}{around} observed</span></li>"
    )


def _evidence_chip(study: Study) -> Html:
    declared = declared_parts(study)
    if declared:
        more = f" and {len(declared) - 1} more" if len(declared) > 1 else ""
        return Html(
            f"<li><strong>{mark('declared', FRONT)} Declared, not measured</strong>"
            f"<span>{safe(isolated(declared[0]))}{more}</span></li>"
        )
    busy = busy_devices(study)
    if busy:
        return Html(
            f"<li><strong>{mark('measured', FRONT)} Measured on a busy machine</strong>"
            f"<span>something else ran on {safe(isolated(busy[0]))} meanwhile</span></li>"
        )
    recorded = [e for e in study.acceptance if not is_declared(e.source) and e.tokens]
    tokens = f"; acceptance recorded over {recorded[0].tokens:,} tokens" if recorded else ""
    if not study.profiles:
        return Html("<li><strong>No evidence listed</strong><span>the study names no profile</span></li>")
    what = f"every step time comes from a profile{tokens}"
    return Html(f"<li><strong>{mark('measured', FRONT)} Nothing declared</strong><span>{what}</span></li>")
