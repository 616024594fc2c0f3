"""Text in which no character means anything to Markdown or HTML."""

from __future__ import annotations

import re

from dsd_plan.report.summary import plain

SPECIAL = re.compile(r"[\\`*{}\[\]|~$@#]|(?<![^\W_])_|_(?![^\W_])")
"""What means something anywhere in a line; an underscore inside a word does not."""
LEADING = {"-", "+", "="}
NUMBERED = re.compile(r"(\d+)[.)](?: |$)")
"""What means something where a line begins: lists, and lines under headings."""
CODE = re.compile(r"(`[^`]+`)")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def inert(text: object) -> str:
    """One line in which no character means anything to Markdown or HTML."""
    return _begun(inert_cell(text))


def inert_prose(text: object) -> str:
    """The same, but commands that the text itself sets between backticks stay code, in which nothing means anything."""
    parts = CODE.split(plain(text))
    return _begun("".join(part if at % 2 else _escaped(part) for at, part in enumerate(parts)))


def inert_cell(text: object) -> str:
    """The same for what does not begin a line: a cell of a table, or words inside a sentence."""
    return _escaped(plain(text))


def _escaped(line: str) -> str:
    return "".join(HTML.get(letter, letter) for letter in SPECIAL.sub(r"\\\g<0>", line))


def _begun(escaped: str) -> str:
    """So that it may begin a line."""
    if escaped[:1] in LEADING:
        escaped = f"\\{escaped}"
    numbered = NUMBERED.match(escaped)
    if numbered:
        escaped = f"{numbered[1]}\\{escaped[numbered.end(1) :]}"
    return escaped
