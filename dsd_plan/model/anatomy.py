"""A predicted round, part by part: from γ draft steps to a token's time."""

from __future__ import annotations

from dsd_plan.domain.anatomy import Anatomy, Line
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.performance import Performance, WorkloadPerformance
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.model.traffic import lengths_of, paths_by_device, rounds_of


def anatomies(deployed: Deployed, predicted: Performance) -> tuple[Anatomy, ...]:
    """Each workload's mean round, where it has one; `predicted` is the prediction of `deployed`."""
    found = []
    for workload in predicted.workloads:
        streams = [stream for stream in deployed.streams if stream.workload.name == workload.name]
        parts, tpot_ms = workload.round_parts, workload.tpot_ms.mean
        if parts is None or tpot_ms is None:
            continue
        tokens = workload.tokens_per_round or 1.0
        lines = _lines(deployed, streams, workload)
        rest_ms = tpot_ms - sum(line.ms for line in lines) / tokens
        found.append(Anatomy(workload.name, lines, tokens, rest_ms, tpot_ms))
    return tuple(found)


def _lines(deployed: Deployed, streams: list[Stream], workload: WorkloadPerformance) -> tuple[Line, ...]:
    parts = workload.round_parts
    assert parts is not None
    lines: list[Line] = []
    only = streams[0] if len(streams) == 1 else None
    if only is not None and only.draft is not None:
        context = lengths_of(only).context
        paths = max(paths_by_device(only))
        step_ms = decode_ms(deployed.drafts[only.draft].surface, float(paths), 1.0, context)
        drafting_ms = only.window * step_ms
        of_paths = "" if paths == 1 else f" for {paths} paths"
        steps = f"{only.window} × {step_ms:.3g} ms{of_paths} at a context of {context:.0f}"
        behind = Line("wait for the draft device", "behind its other sessions", parts.draft_ms - drafting_ms)
        if only.mode == "pipelined":
            wrong = 1.0 - rounds_of(only).right
            drafting_ms *= wrong
            steps = f"{steps}, in the {wrong:.0%} of rounds that follow a wrong guess"
            late = "what was drafted ahead comes after the verdict; behind other sessions"
            behind = Line("wait for the draft device", late, parts.draft_ms - drafting_ms)
        lines += [Line("draft", steps, drafting_ms), behind]
    elif parts.draft_ms > 0.0:
        lines.append(
            Line("draft", "mean over this workload's assignments" if only is None else "on the target", parts.draft_ms)
        )
    if parts.uplink_ms > 0.0:
        lines.append(Line("uplink", "way, serialisation, resending", parts.uplink_ms))
    if parts.wait_ms > 0.0:
        lines.append(Line("wait at the target", "for the iteration in progress, a place in the next", parts.wait_ms))
    batch = deployed.targets[streams[0].target].device.name
    lines.append(
        Line("verify" if streams[0].window else "decode", f"the iteration that serves it on {batch}", parts.verify_ms)
    )
    if parts.downlink_ms > 0.0:
        lines.append(Line("downlink", "way, serialisation, resending", parts.downlink_ms))
    return tuple(lines)
