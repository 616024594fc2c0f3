"""Requests to an OpenAI-compatible server, with the arrival of every chunk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.endpoint.plan import Answer, EndpointSettings

if TYPE_CHECKING:
    import httpx

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
KEEP_CONNECTION_S = 300.0
LONGEST_LINE_BYTES = 2**24


class RefusedError(MeasurementError):
    """The server answered with an error status."""

    def __init__(self, status: int, what: str, told: str) -> None:
        self.status = status
        self.told = told
        super().__init__(f"{what}: the server answered {status}{_advice(status)}{': ' + told if told else ''}")


@dataclass(frozen=True, slots=True)
class Way:
    """How this server is spoken to."""

    model: str
    api: Literal["completions", "chat"]
    ignore_eos: bool
    counts_tokens: bool = True
    """Whether answers carry usage."""


def server_root(url: str) -> str:
    """The address without `/v1`. Raises InputError where it is not an HTTP address."""
    wrong = InputError(
        "the address", "expected one like http://127.0.0.1:8000 (a serving engine's, with or without /v1)"
    )
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if parts.username or parts.password:
        raise InputError("the address", "it holds a user name or password; use --api-key-env for credentials")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"


@asynccontextmanager
async def connected(
    url: str, settings: EndpointSettings, api_key: str | None, transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[Server]:
    """A client for one server; connections stay open, so that no request waits for a handshake."""
    import httpx

    root = server_root(url)
    headers = {"Accept-Encoding": "identity"}
    if api_key is not None:
        headers["Authorization"] = f"Bearer {api_key}"
    async with httpx.AsyncClient(
        headers=headers,
        transport=transport,
        trust_env=urlsplit(root).hostname not in LOOPBACK,
        timeout=httpx.Timeout(None, connect=settings.stall_s),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP_CONNECTION_S),
    ) as http:
        yield Server(http, root, settings)


class Server:
    """The server under measurement."""

    def __init__(self, http: httpx.AsyncClient, root: str, settings: EndpointSettings) -> None:
        self._http = http
        self._root = root
        self._stall_s = settings.stall_s
        self._request_timeout_s = settings.request_timeout_s

    async def get(self, path: str, what: str) -> httpx.Response:
        """A short request. Raises MeasurementError where no answer comes, whatever its status."""
        import httpx

        try:
            async with asyncio.timeout(self._stall_s):
                return await self._send(self._http.build_request("GET", f"{self._root}{path}"), stream=False)
        except TimeoutError:
            raise MeasurementError(f"{what}: no answer from the server within {self._stall_s:g} s; is it up?") from None
        except httpx.HTTPError as failure:
            raise MeasurementError(f"{what}: {_broken(failure)}") from None

    async def get_ms(self, path: str) -> float | None:
        """Milliseconds that a short request takes; None where the server does not have it."""
        began_s = now_s()
        answer = await self.get(path, "round trip to the server")
        return 1000.0 * (now_s() - began_s) if answer.status_code == 200 else None

    async def get_json(self, path: str, what: str) -> Any:
        """The JSON value at a path; None where there is none."""
        answer = await self.get(path, what)
        if answer.status_code in (401, 403):
            raise RefusedError(answer.status_code, what, "")
        if answer.status_code != 200:
            return None
        try:
            return answer.json()
        except (ValueError, RecursionError):
            return None

    async def get_text(self, path: str, what: str) -> str | None:
        """The text at a path; None where there is none."""
        answer = await self.get(path, what)
        return answer.text if answer.status_code == 200 else None

    async def ask(
        self,
        way: Way,
        prompt: str,
        output_tokens: int,
        what: str,
        *,
        began_s: float = 0.0,
        injected: bool = False,
        started: asyncio.Event | None = None,
    ) -> tuple[Answer, bool]:
        """Stream one answer; (the answer, whether the server told its token counts).

        ``started`` is set when the first token arrives. Raises RefusedError for an error status,
        MeasurementError for a stream that stalls, breaks off, or is no stream of events.
        """
        import httpx

        reading = _Reading(what)
        request = self._http.build_request("POST", self._path(way), json=_body(way, prompt, output_tokens))
        sent_s = now_s()
        try:
            async with asyncio.timeout(self._request_timeout_s):
                async with asyncio.timeout(self._stall_s):
                    response = await self._send(request, stream=True)
                try:
                    if response.status_code != 200:
                        # Some servers repeat the key that they refuse.
                        told = "" if response.status_code in (401, 403) else _told(await response.aread())
                        raise RefusedError(response.status_code, what, told)
                    stream = response.aiter_raw()
                    while True:
                        async with asyncio.timeout(self._stall_s):
                            data = await anext(stream, None)
                        if data is None:
                            break
                        reading.take(data, now_s())
                        if started is not None and reading.arrivals_s:
                            started.set()
                finally:
                    await response.aclose()
        except TimeoutError:
            late = now_s() - sent_s >= self._request_timeout_s
            limit = f"took longer than {self._request_timeout_s:g} s" if late else f"was silent for {self._stall_s:g} s"
            raise MeasurementError(
                f"{what}: the answer {limit}, after {len(reading.arrivals_s)} chunks; "
                "has the server stalled? see its log, or allow more time"
            ) from None
        except httpx.HTTPError as failure:
            raise MeasurementError(f"{what}: {_broken(failure, len(reading.arrivals_s))}") from None
        return reading.answer(sent_s, began_s, injected)

    async def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Send, and once again where the server had closed an idle connection just then."""
        import httpx

        try:
            return await self._http.send(request, stream=stream)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            return await self._http.send(request, stream=stream)

    def _path(self, way: Way) -> str:
        return f"{self._root}/v1/{'chat/completions' if way.api == 'chat' else 'completions'}"


def now_s() -> float:
    """The event loop's clock, which only goes forward."""
    return asyncio.get_running_loop().time()


class _Reading:
    """A stream of server-sent events, as it comes in."""

    def __init__(self, what: str) -> None:
        self.arrivals_s: list[float] = []
        self._what = what
        self._rest = b""
        self._begun = b""
        """Data of an event that goes on in its next line."""
        self._usage: dict[str, Any] | None = None
        self._finished = False
        self._finished_s: float | None = None
        self._last_s = 0.0

    def take(self, data: bytes, at_s: float) -> None:
        """What came in one read; everything in it arrived at ``at_s``."""
        self._last_s = at_s
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE_BYTES:
            raise self._malformed("a line without an end")
        for line in lines:
            self._line(line.rstrip(b"\r"), at_s)

    def _line(self, line: bytes, at_s: float) -> None:
        if not line.startswith(b"data:"):
            if self._begun:
                raise self._malformed(self._begun[:60].decode("utf-8", "replace"))
            if line and not line.startswith((b":", b"event:", b"id:", b"retry:")):
                raise self._malformed(line[:60].decode("utf-8", "replace"))
            return
        body = self._begun + line[5:].strip()
        if not body:
            return  # Sent to keep the connection open.
        if body == b"[DONE]":
            self._finished = True
            return
        try:
            event = json.loads(body)
        except ValueError:
            if len(body) > LONGEST_LINE_BYTES or not body.startswith(b"{"):
                raise self._malformed(body[:60].decode("utf-8", "replace")) from None
            self._begun = body + b"\n"
            return
        except RecursionError:
            event = None
        self._begun = b""
        choices = event.get("choices") or [] if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(choices, list):
            raise self._malformed(body[:60].decode("utf-8", "replace"))
        if event.get("error"):
            raise MeasurementError(f"{self._what}: the server broke off with an error: {str(event['error'])[:200]}")
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        for choice in choices:
            if not isinstance(choice, dict):
                raise self._malformed(body[:60].decode("utf-8", "replace"))
            if choice.get("finish_reason"):
                self._finished, self._finished_s = True, at_s
            if _has_text(choice):
                self.arrivals_s.append(at_s)

    def answer(self, sent_s: float, began_s: float, injected: bool) -> tuple[Answer, bool]:
        if self._rest.strip():
            self._line(self._rest.strip(), self._last_s)
        if self._begun:
            raise self._malformed(self._begun[:60].decode("utf-8", "replace"))
        if not self._finished and self._usage is None:
            raise MeasurementError(
                f"{self._what}: the stream ended before the answer did, after {len(self.arrivals_s)} chunks; "
                "did the server die? see its log"
            )
        if not self.arrivals_s and self._finished_s is not None and (self._usage or {}).get("completion_tokens") == 1:
            # A single token that prints as nothing is told by the end of the answer.
            self.arrivals_s.append(self._finished_s)
        if not self.arrivals_s:
            raise MeasurementError(
                f"{self._what}: the answer held no text, so that no token could be timed; does the model emit "
                "printable text? try the other --api"
            )
        counted = [self._usage.get(key) if self._usage else None for key in ("prompt_tokens", "completion_tokens")]
        known = all(isinstance(count, int) and count > 0 for count in counted)
        prompt, completion = counted if known else (1, len(self.arrivals_s))
        return Answer(
            sent_s=max(sent_s - began_s, 0.0),
            arrivals_s=tuple(round(at - began_s, 7) for at in self.arrivals_s),
            prompt_tokens=int(prompt or 1),
            completion_tokens=int(completion or 1),
            injected=injected,
        ), known

    def _malformed(self, found: str) -> MeasurementError:
        return MeasurementError(
            f"{self._what}: found {found!r} in the answer, expected server-sent events (lines `data: {{…}}`); "
            "is this an OpenAI-compatible server?"
        )


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    parts = delta if isinstance(delta, dict) else choice
    return any(parts.get(key) for key in ("text", "content", "reasoning_content", "reasoning"))


def _body(way: Way, prompt: str, output_tokens: int) -> dict[str, Any]:
    body: dict[str, Any] = {"model": way.model}
    if way.api == "chat":
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body["prompt"] = prompt
    body |= {
        "max_tokens": output_tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return body | ({"ignore_eos": True} if way.ignore_eos else {})


def _told(body: bytes) -> str:
    """The server's own words about an error, short."""
    text = body[:2000].decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:200]
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return " ".join(str(found).split())[:200]


def _advice(status: int) -> str:
    return {
        401: " (unauthorised; name the environment variable that holds the key with --api-key-env)",
        403: " (forbidden; name the environment variable that holds the key with --api-key-env)",
        404: " (not found; check the address, and --model against what the server serves)",
        429: " (too many requests; lower --concurrency, or ask the server without its rate limit)",
        503: " (not available; wait until the model is loaded)",
    }.get(status, "")


def _broken(failure: Exception, chunks: int = 0) -> str:
    reason = str(failure) or type(failure).__name__
    after = f" after {chunks} chunks" if chunks else ""
    return f"the connection to the server broke{after} ({reason}); is it up? see its log"
