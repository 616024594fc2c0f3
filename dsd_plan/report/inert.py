"""Text in which no character means anything to Markdown or HTML."""

from __future__ import annotations

import re

from dsd_plan.report.summary import plain

SPECIAL = re.compile(r"[\\`*{}\[\]|~$@#]|(?<![^\W_])_|_(?![^\W_])")
"""What means something anywhere in a line; an underscore inside a word does not."""
LEADING = {"-", "+", "="}
NUMBERED = re.compile(r"(\d+)[.)](?: |$)")
"""What means something where a line begins: lists, and lines under headings."""
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def inert(text: object) -> str:
    """One line in which no character means anything to Markdown or HTML."""
    escaped = inert_cell(text)
    if escaped[:1] in LEADING:
        escaped = f"\\{escaped}"
    numbered = NUMBERED.match(escaped)
    if numbered:
        escaped = f"{numbered[1]}\\{escaped[numbered.end(1) :]}"
    return escaped


def inert_cell(text: object) -> str:
    """The same for what does not begin a line: a cell of a table, or words inside a sentence."""
    escaped = SPECIAL.sub(r"\\\g<0>", plain(text))
    return "".join(HTML.get(letter, letter) for letter in escaped)
