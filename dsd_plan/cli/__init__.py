"""The command line: one module a verb. Parses, calls, prints, and turns errors into exit codes."""

from dsd_plan.cli.app import main

__all__ = ["main"]
