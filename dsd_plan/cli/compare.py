"""`dsd-plan compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json
from dsd_plan.errors import InputError, Problem

if TYPE_CHECKING:
    from dsd_plan.domain.comparison import Comparison
    from dsd_plan.domain.performance import Performance
    from dsd_plan.domain.study import Study

Before = Annotated[Path, typer.Argument(metavar="A", help="Study, or what `predict` or `replay` printed (JSON).")]
After = Annotated[Path, typer.Argument(metavar="B", help="Another of the same kind.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Page to write (HTML).")]


def run(before: Before, after: After, output: Output = None, as_json: AsJson = False) -> None:
    """What changed from A to B: what went in, the plan, every number, budgets, options and the verdict.

    A number's change is significant where the 95 % interval of the difference leaves out 0, not significant where it
    does not, and not known where a side has no interval. Nothing is computed anew: what the files hold is compared.
    """
    from dsd_plan.files import load_result
    from dsd_plan.report import render_comparison, render_comparison_text
    from dsd_plan.report.comparison_words import sentence_of
    from dsd_plan.report.summary import plain

    found = compared(load_result(before), load_result(after), before, after)
    if output is not None:
        from dsd_plan.cli.report import write_page

        write_page(output, render_comparison(found, before.name, after.name))
    if as_json:
        say_json({**found.to_dict(), "sentence": plain(sentence_of(found))})
        return
    say(f"{before} -> {after}")
    say()
    say(render_comparison_text(found).rstrip())
    if output is not None:
        say(f"wrote {output}")


def compared(first: Study | Performance, second: Study | Performance, before: Path, after: Path) -> Comparison:
    """Two results of one kind. Raises InputError where they are of two kinds."""
    from dsd_plan.compare import compare_performances, compare_studies
    from dsd_plan.domain.study import Study

    if isinstance(first, Study) and isinstance(second, Study):
        return compare_studies(first, second)
    if not isinstance(first, Study) and not isinstance(second, Study):
        return compare_performances(first, second)
    text = f"{before} is {_kind(first)}, this is {_kind(second)}; compare two studies, or two performances"
    raise InputError(str(after), [Problem("", text)])


def _kind(result: Study | Performance) -> str:
    from dsd_plan.domain.study import Study

    return "a study" if isinstance(result, Study) else "a performance"
