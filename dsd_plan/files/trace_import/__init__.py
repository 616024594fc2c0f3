"""Traces and logs of other tools, as the traces that scenarios take."""

from dsd_plan.files.trace_import.kinds import KINDS, Kind, import_trace
from dsd_plan.files.trace_import.source import Imported, ImportOptions

__all__ = ["KINDS", "ImportOptions", "Imported", "Kind", "import_trace"]
