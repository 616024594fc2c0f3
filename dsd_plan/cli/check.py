"""`dsd-plan check`."""

from __future__ import annotations

from dsd_plan.cli.options import AsJson, ScenarioPath
from dsd_plan.cli.terminal import say, say_json, warn


def run(scenario: ScenarioPath, as_json: AsJson = False) -> None:
    """Every problem of the file and of what it refers to is listed at once; a sound file is explained.

    For each workload: its route, the devices that may serve it, and how well the steps that it needs are known.
    Warnings name what no plan can keep and what lies beyond the measured points. With `[present]` the system of today
    is predicted beside what was measured of it.
    """
    from dsd_plan.cli.backcast_text import backcast_json, show_backcast
    from dsd_plan.cli.check_text import foreign, gaps, show_scenario
    from dsd_plan.cli.link_text import link_warnings, measured_links
    from dsd_plan.domain.checks import without_rate
    from dsd_plan.domain.contradictions import contradictions
    from dsd_plan.domain.coverage import coverage
    from dsd_plan.domain.summary import summary
    from dsd_plan.files import load_scenario
    from dsd_plan.files.present_system import left_to_type
    from dsd_plan.planning import backcast

    given = load_scenario(scenario)
    covered = coverage(given)
    doubts = contradictions(given)
    today = backcast(given)
    if as_json:
        say_json(
            {
                "scenario": summary(given),
                "coverage": [workload.to_dict() for workload in covered],
                "contradictions": list(doubts),
                "left_to_type": list(left_to_type(scenario)),
                "present": None if today is None else backcast_json(today),
            }
        )
        return
    say(f"{scenario}: {given.name} {'can be read, but contradicts itself' if doubts else 'is sound'}")
    for text in doubts:
        warn(text)
    show_scenario(given, covered)
    for problem in without_rate(given):
        warn(f"{problem}; `predict`, `capacity` and `optimize` refuse it")
    for text in measured_links(given):
        say(text)
    for link in given.links:
        for text in () if link.profile is None else link_warnings(link.profile):
            warn(f"link {' – '.join(link.between)}: {text}")
    for text in foreign(given):
        warn(text)
    for text in dict.fromkeys(text for workload in covered for text in gaps(workload)):
        warn(text)
    if today is not None:
        show_backcast(today)
    for text in left_to_type(scenario):
        warn(f"left to type: {text}")
