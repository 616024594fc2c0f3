"""The table of verbs. `--help` is drawn from it alone, so that no verb's module is imported for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and the module that does it, whose `run` is the command."""

    name: str
    summary: str
    module: str


@dataclass(frozen=True, slots=True)
class LaterVerb:
    """A verb of the contract that this version lists and answers, but does not do yet."""

    name: str
    summary: str
    instead: str
    """What a user can do today."""


@dataclass(frozen=True, slots=True)
class Family:
    """Verbs that share a first word."""

    name: str
    summary: str
    verbs: tuple[Verb | LaterVerb, ...]


Entry = Verb | LaterVerb | Family

VERBS: tuple[Entry, ...] = (
    Verb("new", "Copy a runnable example to start from.", "dsd_plan.cli.new"),
    Verb("demo", "Measure this machine, plan for it, and write the report.", "dsd_plan.cli.demo"),
    Family(
        "profile",
        "Measure how long a model's steps take on real hardware.",
        (
            Verb("device", "Measure a model, or the bundled pair, on this machine.", "dsd_plan.cli.profile_device"),
            Verb("import", "Convert measurements that others published.", "dsd_plan.cli.profile_import"),
            Verb("show", "Show what a profile holds and how well it is known.", "dsd_plan.cli.profile_show"),
            Verb(
                "link",
                "Measure round trip, jitter, loss and bandwidth between two machines.",
                "dsd_plan.cli.profile_link",
            ),
            Verb("endpoint", "Measure a serving engine from outside.", "dsd_plan.cli.profile_endpoint"),
            Verb("compare", "Show where two profiles differ.", "dsd_plan.cli.profile_compare"),
            Verb("merge", "Join profiles of one model on one device.", "dsd_plan.cli.profile_merge"),
        ),
    ),
    Family(
        "trace",
        "Record and describe acceptance and workload traces.",
        (
            Verb(
                "record",
                "Record which proposals a target accepts, by running draft and target.",
                "dsd_plan.cli.trace_record",
            ),
            Verb(
                "describe",
                "Show what an acceptance or workload trace holds.",
                "dsd_plan.cli.trace_describe",
            ),
            Verb("score", "Learn a draft's acceptance from completions that were logged.", "dsd_plan.cli.trace_score"),
            Verb("import", "Convert the traces and logs of other tools.", "dsd_plan.cli.trace_import"),
            Verb("fit", "Fit laws to an acceptance or workload trace.", "dsd_plan.cli.trace_fit"),
            Verb("synth", "Make a workload trace from laws, or more like a recorded one.", "dsd_plan.cli.trace_synth"),
        ),
    ),
    Verb("check", "Validate a scenario and explain what will be computed.", "dsd_plan.cli.check"),
    Verb("predict", "Predict a plan's performance with the analytic model.", "dsd_plan.cli.predict"),
    Verb("replay", "Replay a plan event by event.", "dsd_plan.cli.replay"),
    Verb(
        "crosscheck",
        "Compare model and replay, with a verdict for every metric.",
        "dsd_plan.cli.crosscheck",
    ),
    Verb("optimize", "Choose placement, mode and windows; save the study.", "dsd_plan.cli.optimize"),
    Verb("report", "Render a saved study again, recomputing nothing.", "dsd_plan.cli.report"),
    Verb("compare", "Show what changed between two studies, significant or not.", "dsd_plan.cli.compare"),
    Verb("capacity", "Find the load at which each budget breaks, and why.", "dsd_plan.cli.capacity"),
    Verb("sweep", "Predict or replay a plan over a grid of what-ifs.", "dsd_plan.cli.sweep"),
    Family(
        "policy",
        "Train and compare policies that adapt the window.",
        (
            LaterVerb("train", "Train a learned window policy.", 'use a static window: policy = {"kind": "static"}'),
            LaterVerb(
                "compare",
                "Compare window policies on the same content.",
                "compare static windows with `predict`",
            ),
        ),
    ),
    LaterVerb(
        "testbed",
        "Run a plan with real processes over shaped links.",
        "`crosscheck` compares the model with the event replay",
    ),
    LaterVerb(
        "export",
        "Write deployment files for a serving engine.",
        "read mode, window and counts from the study's `plan`",
    ),
)
