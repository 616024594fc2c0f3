"""A page's small pieces of HTML as Markdown: headings, paragraphs, lists and facts; drawings are left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from dsd_plan.report.inert import inert

NOT_READ = {"svg", "script", "style"}
BLOCKS = {"p", "li", "dt", "dd", "pre", "h1", "h2", "h3", "h4", "div", "summary", "tr", "figcaption"}
BEFORE = {"li": "- ", "dt": "- **", "h1": "### ", "h2": "### ", "h3": "### ", "h4": "#### "}
AFTER = {"dt": ":** "}
STAYS_ON_LINE = {"dt"}
"""What follows stands on the same line."""
SPACES = re.compile(r"\s+")


def html_markdown(html: str) -> list[str]:
    """Lines of Markdown, in which no text of the HTML means anything."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.told()


class _Reader(HTMLParser):
    """Gathers texts into lines, a line a block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._prefix = ""
        self._texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block begins a line."""
        if tag in NOT_READ:
            self._hidden += 1
        elif tag in BLOCKS:
            if tag != "dd":
                self._end()
            self._prefix += BEFORE.get(tag, "")

    def handle_endtag(self, tag: str) -> None:
        """A block ends its line, but for the name of a fact."""
        if tag in NOT_READ:
            self._hidden -= 1
        elif tag in STAYS_ON_LINE:
            self._prefix = f"{self._prefix}{self._text()}{AFTER[tag]}"
        elif tag in BLOCKS:
            self._end()

    def handle_data(self, data: str) -> None:
        """Text of a drawing is not read."""
        if not self._hidden:
            self._texts.append(data)

    def told(self) -> list[str]:
        """Lines; blank ones around what is not of a list."""
        self._end()
        lines: list[str] = []
        for line in self._lines:
            together = lines and line.startswith("- ") and lines[-1].startswith("- ")
            lines += [line] if together or not lines else ["", line]
        return lines

    def _text(self) -> str:
        text = SPACES.sub(" ", "".join(self._texts)).strip()
        self._texts = []
        return inert(text)

    def _end(self) -> None:
        text = self._text()
        if text or self._prefix.endswith(AFTER["dt"]):
            self._lines.append(f"{self._prefix}{text}")
        self._prefix = ""
