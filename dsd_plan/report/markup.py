"""Safe pieces of HTML: everything that is not marked safe is escaped, names are kept apart from their surroundings."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from html import escape
from math import isfinite
from typing import Any

from dsd_plan.domain.profile import Origin
from dsd_plan.report.glossary import TERMS, Term

MARKS: dict[Origin, str] = {"measured": "●", "interpolated": "◐", "extrapolated": "○", "declared": "◇"}
ISOLATE, END_ISOLATE = "\u2068", "\u2069"
BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
LONGEST_LABEL, LONGEST_IN_SENTENCE = 36, 60
FRONT = "mark front"
"""Style of a mark that stands before a word instead of after a number."""


class Html(str):
    """Text that is safe to put into a page as it is."""

    __slots__ = ()


def joined(parts: list[Html] | tuple[Html, ...], between: str = "") -> Html:
    """Safe pieces, one after the other."""
    return Html(between.join(parts))


def printable(text: object) -> str:
    """`text` without control characters, and without marks that would turn the writing direction around it."""
    return BIDI_CONTROLS.sub("", CONTROLS.sub("\ufffd", str(text)))


def isolated(text: object) -> str:
    """A name inside a sentence, cut where too long: its writing direction cannot spread to what stands around it."""
    return f"{ISOLATE}{short(text, LONGEST_IN_SENTENCE)}{END_ISOLATE}"


def short(text: object, longest: int = LONGEST_LABEL) -> str:
    """A name cut to what a label can hold."""
    clean = printable(text)
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def safe(text: object) -> Html:
    """Escaped, unless it is safe already."""
    return text if isinstance(text, Html) else Html(escape(CONTROLS.sub("\ufffd", str(text))))


def name(text: object) -> Html:
    """A name from a file, isolated, cut by the stylesheet where it is too long; its full text stays in the page."""
    clean = safe(printable(text))
    long = f' title="{clean}"' if len(clean) > LONGEST_LABEL else ""
    return Html(f'<bdi class="name"{long}>{clean}</bdi>')


def chart_text(text: object) -> str:
    """A name for a chart, whose texts know entities, a few tags and %{…} templates: none may come from a name."""
    return escape(f"{ISOLATE}{short(text)}{END_ISOLATE}", quote=False).replace("%{", "%\u200b{")


def mark(origin: Origin | None, style: str = "mark") -> Html:
    """The sign that tells how a number is known; nothing where that is not said."""
    if origin is None:
        return Html("")
    return Html(f'<span class="{style}" role="img" aria-label="{origin}" title="{origin}">{MARKS[origin]}</span>')


def mark_legend() -> Html:
    """What the four signs mean."""
    return joined([Html(f'<span class="nobr">{mark(origin, FRONT)} {origin}</span>') for origin in MARKS], " ")


def json_for_script(value: Any) -> Html:
    """JSON that can stand inside a script element: no tag, comment or entity can begin in it; NaN becomes null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def script_hash(text: str) -> str:
    """The source expression that lets exactly this inline script run under a content security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _spellings(term: Term) -> list[str]:
    words = [term.name, *term.spellings]
    return [*words, *(word.capitalize() for word in words if word.islower() and word[0].isascii())]


_BY_SPELLING = {word: term for term in TERMS if not term.everyday for word in _spellings(term)}
_ANY_TERM = re.compile(
    r"(?<![\w&#-])(" + "|".join(re.escape(w) for w in sorted(_BY_SPELLING, key=len, reverse=True)) + r")(?![\w-])"
)


_UNIT_AFTER_NUMBER = re.compile(r"(?<=\d) (?=(?:ms|s|%|×|J|W|GiB)\b|[%×])")


class FirstUse:
    """Marks each term of the glossary where a text uses it for the first time; one for each part of a page."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._used: set[str] = set()

    def mark(self, text: object) -> Html:
        """Escape `text`, define the terms it uses first, set what stands between backticks as code.

        Safe HTML is left as it is.
        """
        if isinstance(text, Html):
            return text
        pieces = _UNIT_AFTER_NUMBER.sub("\u00a0", safe(text)).split("`")
        if len(pieces) % 2 == 0:
            return Html(_ANY_TERM.sub(self._popover, "`".join(pieces)))
        # Text between backticks is a command: no term is looked for in it.
        marked = [f"<code>{p}</code>" if at % 2 else _ANY_TERM.sub(self._popover, p) for at, p in enumerate(pieces)]
        return Html("".join(marked))

    def _popover(self, found: re.Match[str]) -> str:
        word = found[1]
        term = _BY_SPELLING[word]
        if term.name in self._used:
            return word
        self._used.add(term.name)
        address = f"{self._prefix}-term-{term.slug}"
        formula = f' <span class="formula">{safe(term.formula)}</span>' if term.formula else ""
        return (
            f'<span class="term" tabindex="0" aria-describedby="{address}">{word}'
            f'<span class="definition" role="tooltip" id="{address}">{safe(term.definition)}{formula}</span></span>'
        )
