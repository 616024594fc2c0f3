"""Nothing that a file names can become markup, script, or another writing direction."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.report.markup import (
    FirstUse,
    Html,
    chart_text,
    isolated,
    json_for_script,
    mark,
    name,
    printable,
    safe,
    script_hash,
    short,
)


class Reader(HTMLParser):
    """Which tags a text holds, and what a reader of it sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.seen = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.seen += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text(max_size=80))
def test_a_name_stays_text(text: str) -> None:
    reader = read(name(text))
    assert reader.tags == ["bdi"]
    assert reader.seen == printable(text)


@given(st.text(max_size=80))
def test_running_text_stays_text_but_for_terms(text: str) -> None:
    reader = read(FirstUse("s1").mark(text))
    assert set(reader.tags) <= {"span"}


def test_safe_pieces_are_not_escaped_twice() -> None:
    assert safe(Html("<b>")) == "<b>"
    assert safe("<b>\"'&") == "&lt;b&gt;&quot;&#x27;&amp;"


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "a\u2028b", "]]>", "&lt;", "é☃"])
def test_json_cannot_end_its_script(text: str) -> None:
    written = json_for_script({"x": text})
    assert not set(written) & set("<>&\u2028")
    assert written.isascii()
    assert json.loads(written) == {"x": text}


def test_what_json_cannot_say_becomes_null() -> None:
    assert json.loads(json_for_script([1.5, float("nan"), float("inf"), {"a": (float("-inf"),)}])) == [
        1.5,
        None,
        None,
        {"a": [None]},
    ]


def test_writing_direction_and_control_characters_do_not_get_through() -> None:
    assert printable("a\u202eb\u2066c\x1b[31m\x00") == "abc\ufffd[31m\ufffd"
    assert isolated("\u202ex") == "\u2068x\u2069"


def test_a_chart_takes_no_tag_entity_or_template_from_a_name() -> None:
    text = chart_text("<a href='x'>%{x}&lt;")
    assert "<" not in text
    assert "%{" not in text
    assert "&amp;lt;" in text


def test_a_long_name_is_cut_for_a_label_and_kept_in_the_page() -> None:
    long = "x" * 500
    assert short(long, 10) == "xxxxxxxxx…"
    assert long in name(long)


def test_a_term_is_defined_where_it_is_used_first() -> None:
    terms = FirstUse("s1")
    first, second = terms.mark("TPOT and TPOT again"), terms.mark("TPOT")
    assert first.count('role="tooltip"') == 1
    assert 'id="s1-term-tpot"' in first
    assert 'aria-describedby="s1-term-tpot"' in first
    assert second == "TPOT"


def test_a_term_is_not_found_inside_another_word() -> None:
    assert FirstUse("s1").mark("fusedness, pre-fused, TPOTs") == "fusedness, pre-fused, TPOTs"


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    assert FirstUse("s1").mark("31 ms, 5 % and 5 msec") == "31\u00a0ms, 5\u00a0% and 5 msec"


def test_how_a_number_is_known_is_said_in_words_too() -> None:
    assert 'aria-label="declared"' in mark("declared")
    assert "◇" in mark("declared")
    assert mark(None) == ""


def test_the_hash_of_a_script_is_the_one_that_browsers_expect() -> None:
    # The example of the Content Security Policy specification, level 2, section 7.17.2.
    assert script_hash("alert('Hello, world.');") == "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
