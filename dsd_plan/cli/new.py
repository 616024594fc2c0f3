"""`dsd-plan new`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.outputs import check_folder
from dsd_plan.cli.terminal import progress, say, say_json

if TYPE_CHECKING:
    from dsd_plan.files.present_system import Told


class PlannedHour(StrEnum):
    """Which part of a history is planned for."""

    BUSIEST = "busiest"
    MEAN = "mean"


Folder = Annotated[
    Path | None, typer.Argument(metavar="PATH", help="Folder to make; must not hold anything yet.", show_default=False)
]
More = Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More files for --from-logs.")]
Example = Annotated[str | None, typer.Option("--example", metavar="NAME", help="Which example to copy.")]
List = Annotated[bool, typer.Option("--list", help="List the examples that can be copied, and what they ask.")]
FromLogs = Annotated[
    list[Path] | None, typer.Option("--from-logs", metavar="FILE", help="Start from logs of a serving system.")
]
FromPrometheus = Annotated[
    str | None, typer.Option("--from-prometheus", metavar="URL", help="Start from its metrics in Prometheus.")
]
Kind = Annotated[str | None, typer.Option("--kind", help="Whose log it is, as in trace import; none: by its content.")]
Last = Annotated[str, typer.Option("--last", metavar="TIME", help="History to read: 12h, 7d, 4w.")]
Step = Annotated[str, typer.Option("--step", metavar="TIME", help="Intervals of the history.")]
HourOption = Annotated[PlannedHour, typer.Option("--hour", help="Plan for the busiest interval, or for the mean.")]
Model = Annotated[str | None, typer.Option("--model", help="The model, if there are several or none is named.")]
KeyEnv = Annotated[
    str | None, typer.Option("--api-key-env", metavar="NAME", help="Environment variable that holds a bearer token.")
]
OutputTokens = Annotated[
    float | None, typer.Option("--output-tokens", min=1.0, help="Mean answer, where requests are not counted.")
]
RatePerS = Annotated[
    float | None, typer.Option("--rate-per-s", min=1e-9, help="For logs that have lengths and no times.")
]
RttMs = Annotated[float | None, typer.Option("--rtt-ms", min=0.0, help="Between edge devices and servers.")]
EdgeDevice = Annotated[
    str | None,
    typer.Option("--edge-device", metavar="FILE|LAW", help="Profile of the draft there, or step_ms=6.5,…"),
]
Price = Annotated[float | None, typer.Option("--price-per-hour", min=0.0, help="Of one present device.")]
EdgeDevices = Annotated[int | None, typer.Option("--edge-devices", min=1, help="How many edge devices there are.")]
Replicas = Annotated[int | None, typer.Option("--replicas", min=1, help="Engines that serve the model today.")]
MaxBatch = Annotated[int | None, typer.Option("--max-batch", min=1, help="Most sequences in a step of an engine.")]
Draft = Annotated[str | None, typer.Option("--draft", help="What to call the draft model.")]
Acceptance = Annotated[
    str | None, typer.Option("--acceptance", metavar="P|FILE", help="Of the draft's tokens: a number, or a file.")
]


def run(
    path: Folder = None,
    more: More = None,
    example: Example = None,
    list_them: List = False,
    from_logs: FromLogs = None,
    from_prometheus: FromPrometheus = None,
    kind: Kind = None,
    last: Last = "7d",
    step: Step = "1h",
    hour: HourOption = PlannedHour.BUSIEST,
    model: Model = None,
    api_key_env: KeyEnv = None,
    output_tokens: OutputTokens = None,
    rate_per_s: RatePerS = None,
    rtt_ms: RttMs = None,
    edge_device: EdgeDevice = None,
    price_per_hour: Price = None,
    edge_devices: EdgeDevices = None,
    replicas: Replicas = None,
    max_batch: MaxBatch = None,
    draft: Draft = None,
    acceptance: Acceptance = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """An example is a scenario and a plan for it; every verb runs on them as they are.

    From logs or metrics comes the system of today: every value says whether it was measured or guessed, and three are
    left to type: the round trip, the edge device and the price.
    """
    if list_them:
        if path is not None:
            raise typer.BadParameter(f"--list makes no folder; leave {path} out")
        list_examples(as_json)
        return
    if path is None:
        raise typer.BadParameter("missing the folder to make: dsd-plan new PATH; --list tells which examples there are")
    sources = [name for name, given in (("--example", example), ("--from-logs", from_logs)) if given]
    sources += ["--from-prometheus"] if from_prometheus else []
    if len(sources) > 1:
        raise typer.BadParameter(f"{' and '.join(sources)} are given; one of them makes a folder")
    if more and not from_logs:
        raise typer.BadParameter(f"{more[0]} follows {path}; files stand behind --from-logs, and one folder is made")
    check_folder(path)
    if not from_logs and not from_prometheus:
        copy(path, example or "metro-edge", as_json)
        return
    from dsd_plan.cli.new_from import told_of
    from dsd_plan.files.present_system import check_free

    check_free(path)
    told = told_of(rtt_ms, price_per_hour, edge_device, edge_devices, replicas, max_batch, model, draft, acceptance)
    if from_logs:
        of_logs(path, [*from_logs, *(more or [])], kind, model, rate_per_s, seed, told, as_json)
    elif from_prometheus:
        of_prometheus(path, from_prometheus, last, step, hour, model, api_key_env, output_tokens, told, as_json)


def list_examples(as_json: bool) -> None:
    """What can be copied."""
    from dsd_plan.files.example import examples

    found = examples()
    if as_json:
        rows = [{"name": one.name, "question": one.question, "scenarios": list(one.scenarios)} for one in found]
        say_json({"examples": rows})
        return
    for one in found:
        say(f"{one.name:<14}{one.question}")
    say("copy one with: dsd-plan new PATH --example NAME; its README.md says what to run")


def copy(path: Path, example: str, as_json: bool) -> None:
    """Copy an example."""
    from dsd_plan.files import copy_example

    written = copy_example(example, path)
    if as_json:
        say_json({"example": example, "written": [str(file) for file in written]})
        return
    for file in written:
        say(f"wrote {file}")
    scenarios = [file for file in written if file.suffix == ".toml"]
    if scenarios:
        say(f"next: dsd-plan check {scenarios[0]}")


def of_logs(
    path: Path,
    logs: list[Path],
    kind: str | None,
    model: str | None,
    rate_per_s: float | None,
    seed: int,
    told: Told,
    as_json: bool,
) -> None:
    """A folder from logs."""
    from dsd_plan.cli.new_from import write_and_show
    from dsd_plan.cli.trace_import import chosen
    from dsd_plan.files.serving_logs import read_serving_logs
    from dsd_plan.files.trace_import import KINDS, ImportOptions

    picked = None if kind is None else chosen(kind)
    if picked is not None and picked.yields != "requests":
        known = ", ".join(kind.name for kind in KINDS if kind.yields == "requests")
        raise typer.BadParameter(f"--kind {kind}: it yields acceptance, not requests; known: {known}")
    read = read_serving_logs(logs, picked, model, ImportOptions(seed=seed, rate_per_s=rate_per_s))
    write_and_show(path, read.seen, read.requests, told, as_json)


def of_prometheus(
    path: Path,
    url: str,
    last: str,
    step: str,
    hour: PlannedHour,
    model: str | None,
    api_key_env: str | None,
    output_tokens: float | None,
    told: Told,
    as_json: bool,
) -> None:
    """A folder from metrics."""
    import time

    from dsd_plan.cli.new_from import seconds_of, write_and_show
    from dsd_plan.cli.profile_endpoint import key_of
    from dsd_plan.measure.prometheus.history import present_system, read_history
    from dsd_plan.measure.prometheus.server import Asked, Prometheus

    step_s = seconds_of("--step", step)
    asked = Asked(
        last_s=seconds_of("--last", last),
        step_s=step_s,
        # Whole intervals, so that the same command within one of them asks for the same history.
        end_s=time.time() // step_s * step_s,
        model=model,
        plan_for=hour.value,
        output_tokens=output_tokens,
        draft=told.draft,
    )
    if asked.last_s < step_s:
        raise typer.BadParameter(f"--last {last} is shorter than --step {step}")
    with progress("reading metrics") as on_progress, Prometheus(url, key_of(api_key_env)) as server:
        on_progress(0, 1, "Prometheus is asked")
        seen = present_system(read_history(server, asked), asked)
    write_and_show(path, seen, None, told, as_json)
