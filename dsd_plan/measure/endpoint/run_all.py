"""Profile a serving engine from outside: what its answers' timing says about the steps behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dsd_plan.errors import InputError
from dsd_plan.measure.endpoint.client import Server, connected
from dsd_plan.measure.endpoint.metrics_page import Fact, MetricsPage, page_facts, read_page
from dsd_plan.measure.endpoint.plan import EndpointRun, EndpointSettings
from dsd_plan.measure.endpoint.profile import EndpointProfile, made_profile
from dsd_plan.measure.endpoint.run import Greeting, Keep, Progress, Session, calibrate, greet
from dsd_plan.measure.endpoint.text import Prompts
from dsd_plan.measure.machine import Clock, SystemClock

if TYPE_CHECKING:
    import httpx

Before = Callable[[str], EndpointRun | None]

MOST_OTHERS = 1.05
"""Prompt tokens that the server counted, over this run's, beyond which others used it too."""

RESUMABLE = (
    *("contexts", "prompts", "concurrencies", "output_tokens", "inject_tokens", "open_requests", "seed"),
    "tokens_per_word",
)
"""Settings that a resumed run must share with its first part; limits and budget may change."""


def profile_endpoint(
    url: str,
    settings: EndpointSettings,
    *,
    device: str,
    model: str | None = None,
    save_as: str | None = None,
    api_key: str | None = None,
    keep_url: bool = False,
    salt: int,
    before: Before = lambda model: None,
    keep: Keep = lambda run: None,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    on_progress: Progress | None = None,
) -> EndpointProfile:
    """Measure the server at ``url`` and fit the step law of what runs behind it.

    ``model`` is asked for by the server's name of it and saved as ``save_as``. ``keep`` is given the run after
    every trial, and ``before`` is such a run to go on with. ``salt`` must differ from run to run, because the
    server remembers prompts. Raises MeasurementError naming phase and request where the server fails, InputError
    where an argument does not fit it.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        run, greeting, notes, facts = runner.run(
            _measured(
                url,
                settings,
                model=model,
                api_key=api_key,
                salt=salt,
                before=before,
                keep=keep,
                clock=SystemClock() if clock is None else clock,
                transport=transport,
                on_progress=on_progress,
            )
        )
    if keep_url:
        facts = {"url": url, **facts}
    return made_profile(
        run,
        greeting,
        facts,
        notes,
        device=device,
        save_as=save_as,
        measured_at=(SystemClock() if clock is None else clock).now(),
    )


async def _measured(
    url: str,
    settings: EndpointSettings,
    *,
    model: str | None,
    api_key: str | None,
    salt: int,
    before: Before,
    keep: Keep,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None,
    on_progress: Progress | None,
) -> tuple[EndpointRun, Greeting, list[str], dict[str, Fact]]:
    async with connected(url, settings, api_key, transport) as server:
        greeting = await greet(server, settings, model)
        prompts = Prompts(settings.seed, salt)
        run = resumed(before(greeting.way.model), greeting.way.model, settings)
        count, pace = await calibrate(server, greeting.way, prompts, settings)
        page = await _page(server)
        session = Session(server, greeting, run, count, prompts, clock)
        await session.floor(keep)
        await session.visit_all(pace, keep, on_progress)
        await session.floor(keep)
        facts: dict[str, Fact] = {"tokens_per_word": round(count.per_word, 3)}
        after = await _page(server)
        if page is not None and after is not None:
            facts |= page_facts(page, after)
            facts["contention"] = _others(facts, session.prompt_tokens)
        if session.left_out:
            facts["left_out"] = "; ".join(session.left_out)
        return session.run, greeting, session.left_out, facts


def resumed(before: EndpointRun | None, model: str, settings: EndpointSettings) -> EndpointRun:
    """The run to go on with. Raises InputError where it was made with other settings, naming them."""
    if before is None:
        return EndpointRun(model=model, settings=settings)
    changed = [name for name in RESUMABLE if getattr(before.settings, name) != getattr(settings, name)]
    if before.model != model:
        changed.append("model")
    if changed:
        raise InputError(
            "--resume",
            f"the partial run was made with another {', '.join(changed)}; repeat its options, or start anew "
            "without --resume",
        )
    return replace(before, settings=settings)


def _others(facts: dict[str, Fact], own_tokens: int) -> str | None:
    """What the server's own count of prompt tokens says of other users."""
    counted = facts.get("server_prompt_tokens")
    if not isinstance(counted, float) or counted <= MOST_OTHERS * own_tokens + 1000.0:
        return None
    return f"the server read {counted:.0f} prompt tokens, of which {own_tokens} were this run's"


async def _page(server: Server) -> MetricsPage | None:
    text = await server.get_text("/metrics", "reading /metrics")
    return None if text is None else read_page(text)
