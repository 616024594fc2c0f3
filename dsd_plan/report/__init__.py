"""A study in, a page or a text out. Nothing is computed here: what a page draws, the study already holds."""

from dsd_plan.report.comparison_page import render_comparison
from dsd_plan.report.comparison_text import render_comparison_text
from dsd_plan.report.markdown import render_markdown
from dsd_plan.report.page import render_html
from dsd_plan.report.terminal import render_text
from dsd_plan.report.tidy import tidy_tables

__all__ = [
    "render_comparison",
    "render_comparison_text",
    "render_html",
    "render_markdown",
    "render_text",
    "tidy_tables",
]
