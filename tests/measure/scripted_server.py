"""A serving engine whose step law is known, on an event loop whose clock only sleeping moves."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from dsd_plan.domain.profile import StepLaw

LAW = StepLaw(step_ms=4.0, per_token_ms=0.3, per_prompt_token_ms=0.02, per_kv_token_us=0.15)


class SkippingSelector(selectors.DefaultSelector):
    """Does not wait: it moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is scheduled: a test waits for ever")
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without real time: sleeping is exact, and takes none."""

    def __init__(self) -> None:
        self._skipping = SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now_s


@dataclass(frozen=True)
class Script:
    """The law and the manners of the server."""

    law: StepLaw = LAW
    square_us: float = 0.0
    tokens_per_word: float = 1.5
    fixed_tokens: int = 3
    network_ms: float = 2.0
    """Round trip."""
    request_ms: float = 1.5
    """Before a request reaches the scheduler."""
    cap: int = 10_000
    """Most requests at a time."""
    tokens_per_chunk: int = 1
    usage: bool = True
    takes_ignore_eos: bool = True
    chat_only: bool = False
    stops_at: int | None = None
    """Output tokens after which the model ends its answers, if not told to ignore that."""
    max_model_len: int | None = None
    key: str | None = None
    models: tuple[str, ...] = ("known",)
    metrics: bool = False
    speculates: bool = False
    others: bool = False
    """Whether somebody else uses the server as much."""
    mixed: float = 1.0
    """By how much more a prefill costs in a step that decodes too."""
    slows: float = 0.0
    """By how much of its first speed a step gets longer every second."""
    dies_at: int | None = None
    """Number of the generating request whose stream breaks off half-way."""
    stalls_at: int | None = None
    garbage_at: int | None = None
    buffered: bool = False
    """Whether something on the way holds every answer back until it is whole."""


PLAIN = Script()


@dataclass
class Job:
    prompt: int
    output: int
    events: asyncio.Queue[tuple[float, bytes | None]] = field(default_factory=asyncio.Queue)
    made: int = 0
    held: int = 0


class Engine:
    """Continuous batching: every step serves all running requests and takes in all waiting ones, prompts whole."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.most_running = 0
        self.steps: asyncio.Task[None] | None = None

    def submit(self, job: Job) -> None:
        self.waiting.append(job)
        if self.steps is None or self.steps.done():
            self.steps = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self.waiting or self.running:
            # All events of an instant are seen before a step begins.
            for _ in range(8):
                await asyncio.sleep(0)
            free = self.script.cap - len(self.running)
            entering, self.waiting = self.waiting[:free], self.waiting[free:]
            await asyncio.sleep(self.step_ms(entering) / 1000.0)
            self.running += entering
            self.most_running = max(self.most_running, len(self.running))
            for job in self.running:
                self._token(job)
            self.running = [job for job in self.running if job.made < job.output]

    def step_ms(self, entering: list[Job]) -> float:
        law = self.script.law
        decode = sum(law.per_token_ms + law.per_kv_token_us * (j.prompt + j.made - 1) / 1000 for j in self.running)
        prefill = sum(law.per_prompt_token_ms * j.prompt + self.script.square_us * j.prompt**2 / 1000 for j in entering)
        if self.running:
            prefill *= self.script.mixed
        slower = 1.0 + self.script.slows * asyncio.get_running_loop().time()
        return (law.step_ms + decode + prefill) * slower

    def _token(self, job: Job) -> None:
        job.made += 1
        job.held += 1
        at_s = asyncio.get_running_loop().time()
        last = job.made == job.output
        # The first token has a chunk of its own, as in engines that decode several tokens at a time.
        if job.held >= self.script.tokens_per_chunk or last or job.made == 1:
            job.events.put_nowait((at_s, b"x " * job.held))
            job.held = 0
        if last:
            job.events.put_nowait((at_s, None))


class ScriptedServer(httpx.AsyncBaseTransport):
    """The engine behind HTTP, as a transport: no socket, no real time."""

    def __init__(self, script: Script = PLAIN) -> None:
        self.script = script
        self.engine = Engine(script)
        self.generating = 0
        self.prompts: list[str] = []
        self.bodies: list[dict[str, object]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        script = self.script
        await asyncio.sleep(script.network_ms / 2000)
        if script.key is not None and request.headers.get("Authorization") != f"Bearer {script.key}":
            return await self._reply(401, {"error": {"message": "no such key"}})
        path = request.url.path
        if request.method == "GET":
            return await self._page(path)
        body = json.loads(await request.aread())
        if body["model"] not in script.models:
            return await self._reply(404, {"error": {"message": f"no model {body['model']}"}})
        if script.chat_only and path.endswith("/v1/completions"):
            return await self._reply(404, {"detail": "Not Found"})
        if "ignore_eos" in body and not script.takes_ignore_eos:
            return await self._reply(400, {"error": {"message": "ignore_eos: extra fields are not permitted"}})
        chat = path.endswith("/chat/completions")
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        tokens = self.tokens(prompt)
        if script.max_model_len is not None and tokens + body["max_tokens"] > script.max_model_len:
            return await self._reply(400, {"error": {"message": "the prompt is too long"}})
        self.prompts.append(prompt)
        self.bodies.append(body)
        self.generating += 1
        ends = script.stops_at if script.stops_at is not None and not body.get("ignore_eos") else body["max_tokens"]
        job = Job(tokens, min(body["max_tokens"], ends))
        await asyncio.sleep(script.request_ms / 1000)
        self.engine.submit(job)
        return httpx.Response(200, stream=Events(self, job, chat, self.generating))

    def tokens(self, prompt: str) -> int:
        return self.script.fixed_tokens + round(self.script.tokens_per_word * len(prompt.split()))

    async def _reply(self, status: int, body: object) -> httpx.Response:
        await asyncio.sleep(self.script.network_ms / 2000)
        return httpx.Response(status, json=body)

    async def _page(self, path: str) -> httpx.Response:
        script = self.script
        if path == "/v1/models":
            models = [{"id": name, "owned_by": "vllm", "max_model_len": script.max_model_len} for name in script.models]
            return await self._reply(200, {"data": models})
        if path == "/version":
            return await self._reply(200, {"version": "0.0.test"})
        if path == "/metrics" and script.metrics:
            await asyncio.sleep(script.network_ms / 2000)
            return httpx.Response(200, text=self.metrics())
        return await self._reply(404, {"detail": "Not Found"})

    def metrics(self) -> str:
        rounds = 100 * self.generating
        read = sum(map(self.tokens, self.prompts)) * (2 if self.script.others else 1)
        lines = [
            'vllm:cache_config_info{block_size="16",enable_prefix_caching="True",num_gpu_blocks="512"} 1.0',
            'vllm:num_preemptions_total{model_name="known"} 0.0',
            f'vllm:prompt_tokens_total{{model_name="known"}} {read}.0',
            f'vllm:prefix_cache_queries_total{{model_name="known"}} {1000 * self.generating}.0',
            'vllm:prefix_cache_hits_total{model_name="known"} 0.0',
        ]
        if self.script.speculates:
            lines += [
                f"vllm:spec_decode_num_drafts_total {rounds}.0",
                f"vllm:spec_decode_num_draft_tokens_total {2 * rounds}.0",
                f"vllm:spec_decode_num_accepted_tokens_total {1.1 * rounds}",
                f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{position="0"}} {0.7 * rounds}',
                f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{position="1"}} {0.4 * rounds}',
            ]
        return "\n".join(lines) + "\n"


class Events(httpx.AsyncByteStream):
    """One answer's server-sent events."""

    def __init__(self, server: ScriptedServer, job: Job, chat: bool, number: int) -> None:
        self.server = server
        self.job = job
        self.chat = chat
        self.number = number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        script = self.server.script
        half_s = script.network_ms / 2000
        sent = 0
        held = b""
        while True:
            at_s, text = await self.job.events.get()
            await asyncio.sleep(max(at_s + half_s - asyncio.get_running_loop().time(), 0.0))
            if sent >= 1 and script.dies_at is not None and self.number >= script.dies_at:
                raise httpx.ReadError("connection reset by peer")
            if sent >= 1 and self.number == script.stalls_at:
                await asyncio.sleep(1e6)
            if sent >= 1 and self.number == script.garbage_at:
                yield b"<html>502 Bad Gateway</html>\n"
            if text is None:
                break
            sent += 1
            choice = {"delta": {"content": text.decode()}} if self.chat else {"text": text.decode()}
            told = event({"choices": [{"index": 0, **choice, "finish_reason": None}]})
            if script.buffered:
                held += told
            else:
                yield told
        if held:
            yield held
        counted = {"prompt_tokens": self.job.prompt, "completion_tokens": self.job.made}
        yield event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        if script.usage:
            yield event({"choices": [], "usage": counted})
        yield b"data: [DONE]\n\n"


def event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"
