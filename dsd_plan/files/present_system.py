"""A scenario folder from what was seen of a serving system: every value says whether it was measured or guessed."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.domain.present_system import DRAFT_SHARE, FirstLaw, PresentSystem, first_law, present_performance
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.errors import InputError
from dsd_plan.files.acceptance_counts import write_acceptance_counts
from dsd_plan.files.present_table import present_table
from dsd_plan.files.profile import write_profile
from dsd_plan.files.requests import stream_requests
from dsd_plan.files.scenario import load_scenario
from dsd_plan.files.study import write_performance
from dsd_plan.files.writing import write_json, write_whole

if TYPE_CHECKING:
    import polars as pl

TYPE_THIS = "# TYPE THIS"
WORKLOAD, PRESENT, EDGE = "chat", "present", "edge-box"
SMALLEST_CAP = 64
LONGEST_NAME = 500
PLACEHOLDER_RTT_MS, PLACEHOLDER_PRICE = 20.0, 1.0
PLACEHOLDER_EDGE = {"step_ms": 7.0, "per_token_ms": 0.1, "per_prompt_token_ms": 0.25}
"""A 1B draft at about 200 GB/s."""
GUESSED_ACCEPTANCE = 0.7


@dataclass(frozen=True, slots=True)
class Told:
    """What a user said beside the logs; None: not said."""

    rtt_ms: float | None = None
    price_per_hour: float | None = None
    edge_profile: LatencyProfile | None = None
    edge_law: dict[str, float] | None = None
    edge_devices: int | None = None
    replicas: int | None = None
    max_batch: int | None = None
    model: str | None = None
    draft: str | None = None
    acceptance: float | Path | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One value of the scenario and where it is from."""

    what: str
    value: str
    origin: str
    """measured, guessed, told or to type."""
    source: str


@dataclass(frozen=True, slots=True)
class NewFolder:
    """What was written."""

    files: tuple[Path, ...]
    lines: tuple[Line, ...]


def check_free(folder: Path) -> None:
    """Raise InputError where the folder holds something: nothing is overwritten."""
    try:
        if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
            raise InputError(str(folder), "is there already, and nothing is overwritten; name a new folder")
    except (OSError, ValueError) as failure:
        raise InputError(str(folder), f"cannot be read: {failure}; name another folder") from None


def write_present_system(folder: Path, seen: PresentSystem, requests: pl.LazyFrame | None, told: Told) -> NewFolder:
    """Write scenario.toml, plan.json, present.json and what they refer to, all or nothing.

    Raises InputError where the folder holds something, cannot be written, or what was told does not fit.
    """
    check_free(folder)
    target = Path(os.path.abspath(folder))
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        try:
            lines = _fill(part, printable(target.name) or "present", seen, requests, told)
            # What is handed over loads, or is not handed over.
            try:
                load_scenario(part / "scenario.toml")
            except InputError as failure:
                raise InputError(str(folder), failure.problems) from None
            os.replace(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
        raise InputError(str(folder), f"cannot be written: {reason.lower()}; name another folder") from None
    files = sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())
    return NewFolder(tuple(folder / path for path in files), lines)


def left_to_type(path: str | Path) -> tuple[str, ...]:
    """Lines of a scenario that are marked as left to type, as `line 12: rtt_ms = 20.0`."""
    text = Path(path).read_text(encoding="utf-8-sig")
    return tuple(
        f"line {number}: {line.partition(TYPE_THIS)[0].strip()}"
        for number, line in enumerate(text.splitlines(), start=1)
        if TYPE_THIS in line and line.partition(TYPE_THIS)[0].strip()
    )


def _fill(folder: Path, name: str, seen: PresentSystem, requests: pl.LazyFrame | None, told: Told) -> tuple[Line, ...]:
    law = first_law(seen, told.replicas)
    target = printable(seen.model or "") or "target"
    draft = told.edge_profile.model if told.edge_profile is not None else told.draft or "draft"
    if draft == target:
        raise InputError(f"model {target}", "is the draft and the target; say --draft with another name")
    if requests is not None:
        stream_requests(folder / "traces" / "requests.parquet", requests)
    if told.edge_profile is not None:
        write_profile(folder / "profiles" / "edge-box.json", told.edge_profile)
    if seen.acceptance is not None:
        write_acceptance_counts(folder / "traces" / "acceptance.json", seen.acceptance)
    if seen.hours:
        write_whole(folder / "hours.csv", _hours(seen).encode("utf-8"))
    written = _Scenario(folder, name, seen, law, told, target, draft, requests is not None)
    text = written.text()
    write_whole(folder / "scenario.toml", text.encode("utf-8"))
    write_json(folder / "plan.json", _plan(name, seen, law, target, draft))
    write_performance(folder / "present.json", present_performance(seen, WORKLOAD, law.replicas, told.price_per_hour))
    return tuple(written.lines)


def _plan(name: str, seen: PresentSystem, law: FirstLaw, target: str, draft: str) -> dict[str, Any]:
    """The present system: plain decoding, or fused drafting where its counters tell a window."""
    assignment: dict[str, Any] = {"workload": WORKLOAD, "mode": "target_only", "target_device": PRESENT}
    deployments = [{"device": PRESENT, "model": target, "count": law.replicas}]
    if seen.window is not None:
        assignment |= {"mode": "fused", "draft_model": draft, "draft_device": PRESENT, "window": seen.window}
        deployments.append({"device": PRESENT, "model": draft, "count": law.replicas})
    return {"schema": "dsd-plan/plan/1", "scenario": name, "assignments": [assignment], "deployments": deployments}


def _hours(seen: PresentSystem) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ("at", "rate_per_s", "prompt_tokens", "output_tokens", "running", "ttft_ms", "tpot_ms")
    writer.writerow(columns)
    for hour in seen.hours:
        values = [getattr(hour, column) for column in columns]
        writer.writerow(
            ["" if value is None else value if isinstance(value, str) else f"{value:.6g}" for value in values]
        )
    return out.getvalue()


def quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes, and the one character more that TOML forbids."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def printable(text: str) -> str:
    """Text that may stand in a comment or as a name: one line without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:LONGEST_NAME].strip()


def number(value: float) -> str:
    """Five figures, whole numbers as such."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.5g}"


class _Scenario:
    """The text of scenario.toml, and its values one by one for the table on the terminal."""

    def __init__(
        self,
        folder: Path,
        name: str,
        seen: PresentSystem,
        law: FirstLaw,
        told: Told,
        target: str,
        draft: str,
        has_trace: bool,
    ) -> None:
        self.folder, self.name, self.seen, self.law, self.told = folder, name, seen, law, told
        self.target, self.draft, self.has_trace = target, draft, has_trace
        self.lines: list[Line] = []

    def note(self, what: str, value: str, origin: str, source: str) -> str:
        """Keep a value for the table; gives its comment."""
        self.lines.append(Line(what, value, origin, source))
        if origin == "to type":
            return f"{TYPE_THIS}: {printable(source)}"
        return f"# {origin}: {printable(source)}"

    def text(self) -> str:
        """The whole file."""
        parts = [self.head(), self.places(), self.models(), self.present(), self.edge(), self.pair(), self.workload()]
        parts.append(present_table(self.seen, WORKLOAD, printable(self.seen.source)))
        return "\n\n".join(parts) + "\n"

    def head(self) -> str:
        said = [
            f"# The system in service, from {printable(self.seen.source)}.",
            "# measured: what the source tells. guessed: what it does not; say the option, or edit the line.",
            "# present.json holds the latencies of today, and plan.json the way it is served today.",
            *(f"# {printable(text)}" for text in self.seen.notes),
        ]
        return "\n".join([*said, "schema = 1", f"name = {quoted(self.name)}"])

    def places(self) -> str:
        rtt = PLACEHOLDER_RTT_MS if self.told.rtt_ms is None else self.told.rtt_ms
        tag = (
            self.note("rtt_ms", number(rtt), "to type", "ms between edge devices and servers, say --rtt-ms")
            if self.told.rtt_ms is None
            else self.note("rtt_ms", number(rtt), "told", "--rtt-ms")
        )
        return (
            '[[sites]]\nname = "edge"  # where users and draft devices are\n[[sites]]\nname = "servers"\n\n'
            f'[[links]]\nbetween = ["edge", "servers"]\nrtt_ms = {number(rtt)}  {tag}'
        )

    def models(self) -> str:
        if self.told.edge_profile is not None:
            tag = self.note("draft", self.draft, "told", "the profile of --edge-device")
        elif self.told.draft is not None:
            tag = self.note("draft", self.draft, "told", "--draft")
        else:
            tag = self.note("draft", self.draft, "guessed", "a name to fill, say --draft")
        if self.told.model is not None:
            name_tag = self.note("target", self.target, "told", "--model")
        elif self.seen.model:
            name_tag = self.note("target", self.target, "measured", self.seen.source)
        else:
            name_tag = self.note("target", self.target, "guessed", "the source names no model, say --model")
        return (
            "# Sizes in memory are left out, so that nothing is checked against them: weights_gib, kv_mib_per_token.\n"
            f"[[models]]\nname = {quoted(self.target)}  {name_tag}\n[[models]]\nname = {quoted(self.draft)}  {tag}"
        )

    def present(self) -> str:
        law, seen, told = self.law, self.seen, self.told
        count = number(law.replicas)
        if told.replicas is not None:
            count_tag = self.note("replicas", count, "told", "--replicas")
        elif seen.replicas is not None:
            count_tag = self.note("replicas", count, "measured", f"instances in {seen.source}")
        else:
            why = "one engine" if law.from_tpot else "as many as a 70B model would need at 60 % of their time"
            count_tag = self.note("replicas", count, "guessed", f"{why}, say --replicas")
        cap = told.max_batch or max(SMALLEST_CAP, 2 * math.ceil(law.batch))
        cap_tag = (
            self.note("batch_cap", number(cap), "told", "--max-batch")
            if told.max_batch
            else self.note("batch_cap", number(cap), "guessed", "64, or twice the mean batch, say --max-batch")
        )
        price = PLACEHOLDER_PRICE if told.price_per_hour is None else told.price_per_hour
        price_tag = (
            self.note("cost_per_hour", number(price), "to type", "of one present device, say --price-per-hour")
            if told.price_per_hour is None
            else self.note("cost_per_hour", number(price), "told", "--price-per-hour")
        )
        from_step = (
            f"mean TPOT at a batch of {number(law.batch)}" if law.from_tpot else "a 70B model on one large accelerator"
        )
        from_prefill = "the quickest tenth of the TTFT" if law.from_ttft else "a 150th of a step, no TTFT was told"
        better = "better: dsd-plan profile endpoint"
        # Poisson requests tell no cached prefixes: their share is taken off the time of every prompt token.
        computed = 1.0 if self.has_trace else 1.0 - (seen.cached_share or 0.0)
        step, token, prompt = (
            f"{value:.4g}" for value in (law.step_ms, law.per_token_ms, law.per_prompt_token_ms * computed)
        )
        tags = (
            self.note("step_ms", step, "guessed", f"from {from_step}; {better}"),
            self.note("per_token_ms", token, "guessed", f"0.6 % of a step; {better}"),
            self.note("per_prompt_token_ms", prompt, "guessed", f"{from_prefill}; {better}"),
        )
        keys = ("step_ms", "per_token_ms", "per_prompt_token_ms")
        values = (step, token, prompt)
        small = tuple(f"{DRAFT_SHARE * float(value):.4g}" for value in values)
        shown = f"{', '.join(small)} ms"
        draft_tag = self.note("draft there", shown, "guessed", "a tenth of the target's times; dsd-plan profile device")
        laws = (
            f"[devices.profiles.{quoted(self.target)}.law]",
            *(f"{key} = {value}  {tag}" for key, value, tag in zip(keys, values, tags, strict=True)),
            f"[devices.profiles.{quoted(self.draft)}.law]",
            *(f"{key} = {value}  {draft_tag}" for key, value in zip(keys, small, strict=True)),
        )
        return "\n".join(
            [
                "[[devices]]",
                f'name = "{PRESENT}"',
                'site = "servers"',
                f"count = {count}  {count_tag}",
                "memory_gib = 80  # guessed: nothing depends on it until sizes of models are given; edit",
                f"batch_cap = {cap}  {cap_tag}",
                f"cost_per_hour = {number(price)}  {price_tag}",
                *laws,
            ]
        )

    def edge(self) -> str:
        told = self.told
        count = told.edge_devices or max(1, math.ceil(self.law.batch * self.law.replicas))
        count_tag = (
            self.note("edge devices", number(count), "told", "--edge-devices")
            if told.edge_devices
            else self.note(
                "edge devices", number(count), "guessed", "one for each request in service, say --edge-devices"
            )
        )
        if told.edge_profile is not None:
            value, origin, source = '"profiles/edge-box.json"', "told", "--edge-device"
        else:
            law = PLACEHOLDER_EDGE if told.edge_law is None else told.edge_law
            value = f"{{ law = {{ {', '.join(f'{key} = {number(part)}' for key, part in law.items())} }} }}"
            origin = "to type" if told.edge_law is None else "told"
            source = "--edge-device" if told.edge_law else "step times of your edge device, say --edge-device"
        tag = self.note("edge device", value, origin, source)
        return "\n".join(
            [
                "[[devices]]",
                f'name = "{EDGE}"',
                'site = "edge"',
                f"count = {count}  {count_tag}",
                "memory_gib = 16  # guessed: nothing depends on it until sizes of models are given; edit",
                "cost_per_hour = 0  # guessed: it is there already; edit",
                "[devices.profiles]",
                f"{quoted(self.draft)} = {value}  {tag}",
            ]
        )

    def pair(self) -> str:
        counts, given = self.seen.acceptance, self.told.acceptance
        if isinstance(given, Path):
            value = quoted(os.path.relpath(given, self.folder).replace(os.sep, "/"))
            tag = self.note("acceptance", value, "told", "--acceptance")
        elif given is not None:
            value = f"{{ per_token = {number(given)} }}"
            tag = self.note("acceptance", value, "told", "--acceptance")
        elif counts is not None:
            value = '"traces/acceptance.json"'
            tag = self.note("acceptance", value, "measured", _of_counts(counts, self.seen))
        else:
            value = f"{{ per_token = {GUESSED_ACCEPTANCE} }}"
            why = "a small draft of the same family, say --acceptance; better: dsd-plan trace record"
            tag = self.note("acceptance", value, "guessed", why)
        return f"[[pairs]]\ndraft = {quoted(self.draft)}\ntarget = {quoted(self.target)}\nacceptance = {value}  {tag}"

    def workload(self) -> str:
        seen = self.seen
        rate, prompt, output = (f"{value:.4g}" for value in (seen.rate_per_s, seen.prompt_tokens, seen.output_tokens))
        for what, shown in (("rate_per_s", rate), ("prompt_tokens", prompt), ("output_tokens", output)):
            self.note(what, shown, "measured", seen.source)
        means = f"{rate} requests a second of {prompt} prompt and {output} output tokens on average"
        head = ["[[workloads]]", f'name = "{WORKLOAD}"', 'site = "edge"', f"target = {quoted(self.target)}"]
        if self.has_trace:
            value = '"traces/requests.parquet"'
        else:
            fixed = max(1, round(seen.prompt_tokens)), max(1, round(seen.output_tokens))
            value = f"{{ rate_per_s = {rate}, prompt_tokens = {fixed[0]}, output_tokens = {fixed[1]} }}"
        told = [f"requests = {value}  # measured: {printable(seen.source)}", f"# measured: {means}"]
        if seen.cached_share is not None:
            self.note("prefix hits", f"{seen.cached_share:.1%}", "measured", seen.source)
            how = "in the trace" if self.has_trace else "in per_prompt_token_ms, as Poisson requests tell none"
            told.append(f"# measured: {seen.cached_share:.1%} of the prompt tokens came from the prefix cache; {how}")
        for name in ("ttft", "tpot", "itl"):
            found = getattr(seen, f"{name}_ms")
            known = [f"{key} {value:.4g}" for key in ("mean", "p50", "p95", "p99") if (value := getattr(found, key))]
            if known:
                shown = f"{', '.join(known)} ms"
                told.append(self.note(f"{name}_ms now", shown, "measured", seen.source) + f", {name.upper()}: {shown}")
        limits = [
            f"{name}_p95_ms = {value:.4g}"
            for name in ("ttft", "tpot")
            if (value := getattr(seen, f"{name}_ms").p95) is not None
        ]
        if limits:
            told.append(f"# To ask for no slower service than today's: budgets = {{ {', '.join(limits)} }}")
        return "\n".join([*head, *told])


def _of_counts(counts: AcceptanceCounts, seen: PresentSystem) -> str:
    return f"{counts.reached[0]:,} rounds of today's own drafts, {seen.round_tokens:.3g} tokens a round"
