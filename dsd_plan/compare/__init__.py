"""Two results in, what changed out: pure functions, no file and no clock."""

from dsd_plan.compare.performances import compare_performances
from dsd_plan.compare.studies import compare_studies

__all__ = ["compare_performances", "compare_studies"]
