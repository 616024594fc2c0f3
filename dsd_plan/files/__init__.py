"""All reading and writing: scenarios, plans, profiles, traces, studies. Every problem of a file is in one error."""

from dsd_plan.files.acceptance import load_acceptance, write_acceptance
from dsd_plan.files.acceptance_counts import load_acceptance_counts, write_acceptance_counts
from dsd_plan.files.acceptance_law import load_acceptance_law, write_acceptance_law
from dsd_plan.files.example import copy_example, example_names
from dsd_plan.files.link import load_link, write_link, write_rtt_trace
from dsd_plan.files.plan import load_plan, write_plan
from dsd_plan.files.profile import load_profile, write_profile
from dsd_plan.files.replayed import check_table_path, table_parts, write_table
from dsd_plan.files.requests import load_requests, load_rtt_trace, stream_requests, write_requests
from dsd_plan.files.scenario import load_scenario
from dsd_plan.files.study import load_performance, load_result, load_study, write_performance, write_study
from dsd_plan.files.timeline import write_timeline
from dsd_plan.files.writing import json_text, write_json

__all__ = [
    "check_table_path",
    "copy_example",
    "example_names",
    "json_text",
    "load_acceptance",
    "load_acceptance_counts",
    "load_acceptance_law",
    "load_link",
    "load_performance",
    "load_plan",
    "load_profile",
    "load_requests",
    "load_result",
    "load_rtt_trace",
    "load_scenario",
    "load_study",
    "stream_requests",
    "table_parts",
    "write_acceptance",
    "write_acceptance_counts",
    "write_acceptance_law",
    "write_json",
    "write_link",
    "write_performance",
    "write_plan",
    "write_profile",
    "write_requests",
    "write_rtt_trace",
    "write_study",
    "write_table",
    "write_timeline",
]
