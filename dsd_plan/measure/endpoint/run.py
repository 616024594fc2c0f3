"""Run the trials against a server: probe it, calibrate prompts, visit levels, keep what was measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.endpoint.client import RefusedError, Server, Way, now_s
from dsd_plan.measure.endpoint.plan import (
    IDLE_REQUESTS,
    INJECTIONS,
    Answer,
    EndpointRun,
    EndpointSettings,
    Trial,
    TrialResult,
    affordable,
    anchor_of,
    answers_of,
    expected_s,
    open_requests,
    trials_of,
)
from dsd_plan.measure.endpoint.steps import settled
from dsd_plan.measure.endpoint.text import Prompts, WordCount, word_count
from dsd_plan.measure.machine import Clock

Progress = Callable[[int, int, str], None]
Keep = Callable[[EndpointRun], None]

FLOOR_PATHS = ("/health", "/v1/models")
FLOOR_SAMPLES = 12
CALIBRATION_WORDS = (24, 240)
WARM_UP_TOKENS = 16
SETTLED_VISITS = 2
"""Visits after which a level that is known well enough is not visited again."""
LAST_CALL = 2.0
"""No trial begins after so many budgets, and none may end after it."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the server is and how it wants to be asked."""

    way: Way
    engine: str | None
    engine_version: str | None
    max_model_len: int | None
    floor_path: str


@dataclass(frozen=True, slots=True)
class Pace:
    """First idea of the server's speed, from the warm-up."""

    token_s: float
    prompt_token_s: float


async def greet(server: Server, settings: EndpointSettings, model: str | None) -> Greeting:
    """Find model, API and what the server accepts. Raises MeasurementError saying what is in the way."""
    what = "asking for the models"
    listed = await server.get_json("/v1/models", what)
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = data if isinstance(data, list) else []
    models = [entry for entry in entries if isinstance(entry, dict) and entry.get("id")]
    names = [str(entry["id"]) for entry in models]
    if model is None:
        if len(names) != 1:
            found = f"{len(names)} models: {', '.join(names[:5])}" if names else "no list of models"
            raise InputError("--model", f"missing, and the server tells {found}; name the model to measure")
        model = names[0]
    entry: dict[str, Any] = next((entry for entry in models if entry["id"] == model), {})
    meta = entry.get("meta")
    limit = entry.get("max_model_len") or (meta.get("n_ctx_train") if isinstance(meta, dict) else None)
    engine, version = await _engine(server, str(entry.get("owned_by", "")))
    way = await _way(server, settings, model)
    floors = [(path, await server.get_ms(path)) for path in FLOOR_PATHS]
    path = min((ms, path) for path, ms in floors if ms is not None)[1] if any(ms for _, ms in floors) else "/v1/models"
    return Greeting(way, engine, version, limit if isinstance(limit, int) else None, path)


async def _engine(server: Server, owner: str) -> tuple[str | None, str | None]:
    known = {"vllm": "/version", "sglang": "/get_server_info", "llamacpp": "/props"}
    for engine, path in known.items():
        if owner and owner != engine:
            continue
        told = await server.get_json(path, "asking for the server's version")
        # Only the version is read: the same page may hold settings that are nobody's business.
        version = (told.get("version") or told.get("build_info")) if isinstance(told, dict) else None
        if isinstance(version, str):
            return engine, version[:80]
    return (owner[:40] or None), None


async def _way(server: Server, settings: EndpointSettings, model: str) -> Way:
    """The first of completions and chat that answers, with `ignore_eos` if it is taken."""
    apis = ("completions", "chat") if settings.api == "auto" else (settings.api,)
    refusals = []
    for api in apis:
        for ignore_eos in (True, False):
            way = Way(model, "chat" if api == "chat" else "completions", ignore_eos)
            try:
                _, counted = await server.ask(way, "one two three", 4, f"probing {api}")
            except RefusedError as refused:
                if refused.status in (401, 403, 429, 503):
                    raise
                refusals.append(refused)
                continue
            if not counted and settings.tokens_per_word is None:
                raise MeasurementError(
                    f"probing {api}: the server does not report usage (stream_options.include_usage), so that the "
                    "length of prompts is not known; give --tokens-per-word if you know it"
                )
            return replace(way, counts_tokens=counted)
    # A refusal with a reason says more than an address that is not served.
    raise next((refused for refused in reversed(refusals) if refused.status not in (404, 405)), refusals[-1])


async def calibrate(server: Server, way: Way, prompts: Prompts, settings: EndpointSettings) -> tuple[WordCount, Pace]:
    """Words to tokens, and the server's pace, from requests that also warm it up."""
    seen: list[tuple[int, Answer]] = []
    for words in (*CALIBRATION_WORDS, *CALIBRATION_WORDS):
        answer, _ = await server.ask(way, prompts.text(words), WARM_UP_TOKENS, "warming up")
        seen.append((words, answer))
    if all(len(answer.arrivals_s) > 1 and answer.first_s == answer.last_s for _, answer in seen):
        raise MeasurementError(
            "warming up: every answer came in one piece, so that no step can be timed; something on the way holds "
            "the stream back: ask the engine itself, or turn off the proxy's buffering"
        )
    (short, first), (long, last) = seen[-2:]
    if settings.tokens_per_word is not None and not way.counts_tokens:
        count = WordCount(0.0, settings.tokens_per_word)
    else:
        count = word_count((short, first.prompt_tokens), (long, last.prompt_tokens))
    if count.per_word <= 0:
        raise MeasurementError(
            f"the server counted {first.prompt_tokens} tokens for {short} words and {last.prompt_tokens} for {long}; "
            "is its usage right? give --tokens-per-word if you know it"
        )
    tokens = max(last.completion_tokens - 1, 1)
    ttft_s = last.first_s - last.sent_s
    return count, Pace(
        token_s=max((last.last_s - last.first_s) / tokens, 1e-5),
        prompt_token_s=max(ttft_s / (count.fixed + count.per_word * long), 1e-7),
    )


class Session:
    """A run under way: visits trials and keeps their results."""

    def __init__(
        self,
        server: Server,
        greeting: Greeting,
        run: EndpointRun,
        count: WordCount,
        prompts: Prompts,
        clock: Clock,
    ) -> None:
        self.run = run
        self.left_out: list[str] = []
        self.prompt_tokens = 0
        """Of the trials that this session ran, so that the server's own count can tell whether others used it."""
        self._server = server
        self._greeting = greeting
        self._count = count
        self._prompts = prompts
        self._clock = clock

    async def visit_all(self, pace: Pace, keep: Keep, on_progress: Progress | None) -> None:
        """Round after round until the budget is spent; then the open run. Raises MeasurementError naming the trial."""
        settings = self.run.settings
        began_s = now_s()
        wanted = trials_of(settings, self._greeting.max_model_len)
        possible = len(trials_of(settings)) // settings.rounds - len(wanted) // settings.rounds
        if possible:
            self.left_out.append(f"{possible} levels longer than the server's {self._greeting.max_model_len} tokens")
        wanted, dear = affordable(wanted, pace.token_s, pace.prompt_token_s, settings)
        self.left_out += [f"{trial.name.rpartition(',')[0]} (too slow for the budget)" for trial in dear]
        todo = [trial for trial in wanted if (*trial.level, trial.round) not in self.run.done()]
        for trial in todo:
            if trial.round >= SETTLED_VISITS and settled(self._visits(trial)):
                continue
            spent_s = now_s() - began_s
            ahead_s = expected_s(trial, pace.token_s, pace.prompt_token_s, settings.inject_tokens)
            if trial.round > 0 and spent_s + ahead_s > 0.85 * settings.budget_s:
                continue
            if spent_s > LAST_CALL * settings.budget_s:
                self.left_out.append(f"{trial.name} (the time was up)")
                continue
            _say(on_progress, spent_s, settings, trial.name)
            await self._visit(trial, LAST_CALL * settings.budget_s - spent_s, keep)
        last = [anchor_of(settings)] if self._visits(anchor_of(settings)) else []
        if settings.open_requests:
            last.append(
                Trial(phase="open", concurrency=1, prompt_tokens=1, output_tokens=settings.output_tokens, round=0)
            )
        for trial in last:
            spent_s = now_s() - began_s
            if (*trial.level, trial.round) not in self.run.done() and spent_s < LAST_CALL * settings.budget_s:
                _say(on_progress, spent_s, settings, trial.name)
                await self._visit(trial, LAST_CALL * settings.budget_s - spent_s, keep)

    def _visits(self, trial: Trial) -> list[TrialResult]:
        """What was measured at a trial's level so far."""
        return [result for result in self.run.results if result.trial.level == trial.level and result.answers]

    async def floor(self, keep: Keep) -> None:
        """Sample the round trip of a request without work."""
        samples = [await self._server.get_ms(self._greeting.floor_path) for _ in range(FLOOR_SAMPLES)]
        self.run = replace(self.run, floor_ms=(*self.run.floor_ms, *(ms for ms in samples if ms is not None)))
        keep(self.run)

    async def _visit(self, trial: Trial, limit_s: float, keep: Keep) -> None:
        phases = {"idle": self._idle, "inject": self._inject, "open": self._open}
        cpu_s, began_s = self._clock.cpu_s(), now_s()
        limit_s = max(limit_s, self.run.settings.stall_s)
        refused = None
        answers: tuple[Answer, ...] = ()
        try:
            async with asyncio.timeout(limit_s):
                answers = await phases.get(trial.phase, self._users)(trial)
        except TimeoutError:
            raise MeasurementError(
                f"{trial.name}: not finished {limit_s:.0f} s after it began; lower --concurrency or the lengths, "
                "or raise --budget-s"
            ) from None
        except (MeasurementError, ExceptionGroup) as failure:
            first = _first(failure)
            if not (isinstance(first, RefusedError) and first.status in (400, 413, 422)):
                raise first from None
            refused = str(first)
            self.left_out.append(f"{trial.name} (refused: {first.told})")
        spent_s = max(now_s() - began_s, 1e-9)
        result = TrialResult(
            trial=trial,
            answers=answers,
            refused=refused,
            cpu_share=max(0.0, round((self._clock.cpu_s() - cpu_s) / spent_s, 4)),
        )
        self.prompt_tokens += sum(answer.prompt_tokens for answer in answers)
        self.run = replace(self.run, results=(*self.run.results, result))
        keep(self.run)

    async def _ask(
        self,
        trial: Trial,
        began_s: float,
        prompt_tokens: int,
        output_tokens: int,
        number: str,
        *,
        injected: bool = False,
        started: asyncio.Event | None = None,
    ) -> Answer:
        words = self._count.words(prompt_tokens)
        answer, counted = await self._server.ask(
            self._greeting.way,
            self._prompts.text(words),
            output_tokens,
            f"{trial.name}, request {number}",
            began_s=began_s,
            injected=injected,
            started=started,
        )
        if counted:
            return answer
        if self._greeting.way.counts_tokens:
            raise MeasurementError(f"{trial.name}, request {number}: usage is missing in this answer, unlike before")
        return replace(answer, prompt_tokens=max(1, round(self._count.fixed + self._count.per_word * words)))

    async def _idle(self, trial: Trial) -> tuple[Answer, ...]:
        """One request at a time, each on a connection that has just been used."""
        began_s = now_s()
        answers = []
        for number in range(IDLE_REQUESTS):
            await self._server.get_ms(self._greeting.floor_path)
            answers.append(await self._ask(trial, began_s, trial.prompt_tokens, trial.output_tokens, str(number + 1)))
        return tuple(answers)

    async def _users(self, trial: Trial) -> tuple[Answer, ...]:
        """Users without a think time, each with two requests (three for one alone)."""
        began_s = now_s()
        each = 3 if trial.concurrency == 1 else 2

        async def user(index: int) -> list[Answer]:
            return [
                await self._ask(
                    trial, began_s, trial.prompt_tokens, trial.output_tokens, f"{number + 1} of user {index + 1}"
                )
                for number in range(each)
            ]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(user(index)) for index in range(trial.concurrency)]
        return tuple(answer for task in tasks for answer in task.result())

    async def _inject(self, trial: Trial) -> tuple[Answer, ...]:
        """Long prompts, one after the other, while others decode."""
        began_s = now_s()
        started = [asyncio.Event() for _ in range(trial.concurrency)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._ask(
                        trial,
                        began_s,
                        trial.prompt_tokens,
                        trial.output_tokens,
                        f"of user {index + 1}",
                        started=event,
                    )
                )
                for index, event in enumerate(started)
            ]
            for event in started:
                await event.wait()
            injected = []
            pause_s = self._token_s() * trial.output_tokens / (2 * INJECTIONS + 2)
            for number in range(INJECTIONS):
                await asyncio.sleep(pause_s)
                if all(task.done() for task in tasks):
                    break
                what = f"{number + 1} put in between"
                tokens = self.run.settings.inject_tokens
                injected.append(await self._ask(trial, began_s, tokens, 1, what, injected=True))
        return (*(task.result() for task in tasks), *injected)

    async def _open(self, trial: Trial) -> tuple[Answer, ...]:
        """Poisson arrivals with mixed lengths."""
        began_s = now_s()
        tasks = []
        async with asyncio.TaskGroup() as group:
            requests = open_requests(self.run.settings, self.run.results)
            for number, (wait_s, prompt, output) in enumerate(requests):
                await asyncio.sleep(wait_s)
                tasks.append(group.create_task(self._ask(trial, began_s, prompt, output, str(number + 1))))
        return tuple(task.result() for task in tasks)

    def _token_s(self) -> float:
        seen = [
            (answer.last_s - answer.first_s) / (answer.completion_tokens - 1)
            for answer in answers_of(self.run.results, "alone", "closed")
            if answer.completion_tokens > 1
        ]
        return float(np.median(seen)) if seen else 0.01


def _first(failure: Exception) -> Exception:
    """The first error of a group of groups; the others followed from it."""
    found = failure
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found


def _say(on_progress: Progress | None, spent_s: float, settings: EndpointSettings, text: str) -> None:
    if on_progress is not None:
        on_progress(min(99, int(100 * spent_s / settings.budget_s)), 100, text)
