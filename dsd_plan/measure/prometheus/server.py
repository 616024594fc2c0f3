"""A Prometheus server asked for a range of its history."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.endpoint.client import LOOPBACK, server_root

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0

Series = dict[float, float]
"""By the end of the interval, s since 1970."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What part of the history is wanted."""

    last_s: float
    step_s: float = 3600.0
    end_s: float = 0.0
    model: str | None = None
    plan_for: Literal["busiest", "mean"] = "busiest"
    output_tokens: float | None = None
    """Mean answer, for engines that do not count requests."""
    draft: str | None = None


class Prometheus:
    """A Prometheus server, asked through its HTTP API, version 1."""

    def __init__(self, url: str, api_key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        import httpx

        self._root = server_root(url).removesuffix("/api")
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        trusted = urlsplit(self._root).hostname not in LOOPBACK
        self._http = httpx.Client(headers=headers, transport=transport, trust_env=trusted, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The `data` of an answer. Raises MeasurementError where no sound one comes."""
        import httpx

        what = f"Prometheus, /api/v1/{path}"
        try:
            answer = self._http.get(f"{self._root}/api/v1/{path}", params=dict(parameters))
        except httpx.TimeoutException:
            raise MeasurementError(f"{what}: no answer within {TIMEOUT_S:g} s; ask for less with --last") from None
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            reason = str(failure) or type(failure).__name__
            raise MeasurementError(f"{what}: cannot be reached: {reason}; is it up, and the address right?") from None
        if answer.status_code in (401, 403):
            raise MeasurementError(
                f"{what}: it answered {answer.status_code}; name the variable that holds a token with --api-key-env"
            )
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or body.get("status") not in ("success", "error"):
            raise MeasurementError(
                f"{what}: it answered {answer.status_code} without Prometheus' JSON; is this the address of Prometheus "
                "(often port 9090), and not of the serving engine?"
            )
        if body["status"] == "error" or "data" not in body:
            raise MeasurementError(f"{what}: it refused: {str(body.get('error', 'no reason'))[:200]}")
        return body["data"]

    def series(self, query: str, asked: Asked) -> list[tuple[dict[str, str], Series]]:
        """Label sets and values of a range query, one value an interval; NaN left out."""
        intervals = max(round(asked.last_s / asked.step_s), 1)
        start_s = asked.end_s - (intervals - 1) * asked.step_s
        data = self.ask(
            "query_range",
            {"query": query, "start": f"{start_s:.3f}", "end": f"{asked.end_s:.3f}", "step": f"{asked.step_s:g}s"},
        )
        try:
            return [
                (
                    dict(result["metric"]),
                    {float(at): value for at, text in result["values"] if math.isfinite(value := float(text))},
                )
                for result in data["result"]
            ]
        except (KeyError, TypeError, ValueError):
            raise MeasurementError(
                "Prometheus, /api/v1/query_range: its answer is no matrix; is it Prometheus?"
            ) from None
