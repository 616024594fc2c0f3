"""A study in, a page or a text out. Nothing is computed here: what a page draws, the study already holds."""

from dsd_plan.report.markdown import render_markdown
from dsd_plan.report.page import render_html
from dsd_plan.report.terminal import render_text

__all__ = ["render_html", "render_markdown", "render_text"]
