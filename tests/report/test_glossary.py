"""One definition a term, the same on the page and in the documentation."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.report.glossary import TERMS, glossary_markdown

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"


def test_the_documentation_is_made_from_the_same_lines() -> None:
    again = "write it again: python -c 'from dsd_plan.report.glossary import *; print(glossary_markdown(), end=\"\")'"
    assert GLOSSARY.read_text(encoding="utf-8") == glossary_markdown(), again


def test_each_term_stands_once() -> None:
    words = [word.lower() for term in TERMS for word in (term.name, *term.spellings)]
    assert sorted(words) == sorted(set(words))
    assert len({term.slug for term in TERMS}) == len(TERMS)


def test_a_definition_is_one_line_that_ends() -> None:
    for term in TERMS:
        assert "\n" not in term.definition
        assert term.definition.endswith(".")
        assert len(term.definition) <= 200
