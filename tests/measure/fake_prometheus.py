"""Answers of Prometheus' HTTP API for counters of our own making: what is asked decides what comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx

HOUR_S = 3600.0


@dataclass
class FakePrometheus:
    """`grown` by name of the metric: a label set's text and its growth in each interval; gauges likewise."""

    grown: dict[str, list[tuple[dict[str, str], list[str]]]]
    anchors: list[dict[str, str]]
    queries: list[str] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """As documented for `label/…/values`, `series` and `query_range`."""
        self.authorization.append(request.headers.get("Authorization"))
        path = request.url.path.partition("/api/v1/")[2]
        if path == "label/__name__/values":
            return data(sorted(self.grown))
        if path == "series":
            name = request.url.params["match[]"]
            return data([{"__name__": name, **labels} for labels in self.anchors] if name in self.grown else [])
        assert path == "query_range"
        query = request.url.params["query"]
        self.queries.append(query)
        name = next(iter(re.findall(r"\(([a-z]+:\w+)", query)))
        start, step = float(request.url.params["start"]), float(request.url.params["step"].removesuffix("s"))
        end = float(request.url.params["end"])
        points = round((end - start) / step) + 1
        result = [
            {"metric": labels, "values": [[start + at * step, text] for at, text in enumerate(values[:points])]}
            for labels, values in self.grown.get(name, [])
        ]
        return data({"resultType": "matrix", "result": result})

    @property
    def transport(self) -> httpx.MockTransport:
        """To be given to a client."""
        return httpx.MockTransport(self.answer)


def data(value: object) -> httpx.Response:
    """A successful answer."""
    return httpx.Response(200, json={"status": "success", "data": value})


def plain(*values: float) -> list[tuple[dict[str, str], list[str]]]:
    """One series without labels."""
    return [({}, [str(value) for value in values])]


def split(label: str, parts: dict[str, list[float]]) -> list[tuple[dict[str, str], list[str]]]:
    """One series for each value of a label."""
    return [({label: name}, [str(value) for value in values]) for name, values in parts.items()]


VLLM_LABELS = [
    {"model_name": "org/chat-8b", "job": "vllm", "instance": "gpu0:8000"},
    {"model_name": "org/chat-8b", "job": "vllm", "instance": "gpu1:8000"},
]


def vllm() -> FakePrometheus:
    """Two hours: 3600 requests, then 7200, on two engines; prompts of 400 and answers of 100 tokens in the second."""
    return FakePrometheus(
        {
            "vllm:request_success_total": plain(3600, 7200),
            "vllm:prompt_tokens_total": plain(3600 * 200, 7200 * 400),
            "vllm:generation_tokens_total": plain(3600 * 50, 7200 * 100),
            "vllm:prefix_cache_queries_total": plain(3600 * 200, 7200 * 400),
            "vllm:prefix_cache_hits_total": plain(0, 7200 * 100),
            "vllm:num_requests_running": plain(2, 8),
            "vllm:time_to_first_token_seconds_sum": plain(360, 1440),
            "vllm:time_to_first_token_seconds_count": plain(3600, 7200),
            "vllm:time_to_first_token_seconds_bucket": split(
                "le", {"0.1": [1800, 720], "0.2": [3600, 3600], "0.4": [3600, 7200], "+Inf": [3600, 7200]}
            ),
            "vllm:request_time_per_output_token_seconds_sum": plain(36, 144),
            "vllm:request_time_per_output_token_seconds_count": plain(3600, 7200),
            "vllm:request_time_per_output_token_seconds_bucket": split(
                "le", {"0.01": [1800, 0], "0.025": [3600, 6840], "+Inf": [3600, 7200]}
            ),
        },
        VLLM_LABELS,
    )
