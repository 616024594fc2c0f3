"""A history of metrics becomes the present system: hand-worked rates, lengths, quantiles and counters."""

from __future__ import annotations

import httpx
import pytest

from dsd_plan.domain.present_system import PresentSystem
from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.prometheus.history import present_system, read_history
from dsd_plan.measure.prometheus.server import Asked, Prometheus
from tests.measure.fake_prometheus import VLLM_LABELS, FakePrometheus, data, plain, split, vllm

URL = "http://prometheus.test:9090"
TWO_HOURS = Asked(last_s=7200.0, step_s=3600.0, end_s=1_700_006_400.0)


def seen(fake: FakePrometheus, asked: Asked = TWO_HOURS) -> PresentSystem:
    with Prometheus(URL, transport=fake.transport) as server:
        return present_system(read_history(server, asked), asked)


def test_the_busiest_hour_is_planned_for() -> None:
    fake = vllm()
    found = seen(fake)
    assert (found.rate_per_s, found.prompt_tokens, found.output_tokens) == (2.0, 400.0, 100.0)
    assert (found.model, found.replicas, found.requests, found.running) == ("org/chat-8b", 2, 7200, 8.0)
    assert found.cached_share == 0.25
    assert [hour.rate_per_s for hour in found.hours] == [1.0, 2.0]
    assert found.hours[0].at == "2023-11-14T22:00Z"
    assert 'sum(increase(vllm:request_success_total{model_name="org/chat-8b"}[3600s]))' in fake.queries


def test_latencies_come_from_the_histograms_of_that_hour() -> None:
    found = seen(vllm())
    assert found.ttft_ms.mean == pytest.approx(200.0)
    # 720 of 7200 lie below 100 ms and half below 200 ms; 95 %: 6840 = 3600 + 0.9 · 3600 of the bucket 200 to 400 ms.
    assert found.ttft_ms.p50 == pytest.approx(200.0)
    assert found.ttft_ms.p95 == pytest.approx(380.0)
    assert found.tpot_ms.mean == pytest.approx(20.0)
    assert found.tpot_ms.p95 == pytest.approx(25.0)
    # The last bucket has no upper bound.
    assert found.tpot_ms.p99 is None
    # The tenth percentile of TTFT, 100 ms, less a step of 20 ms, over the 300 tokens of a prompt that are computed.
    assert found.prefill_ms_per_token == pytest.approx(80.0 / 300.0)


def test_the_mean_is_that_of_all_hours() -> None:
    found = seen(vllm(), Asked(last_s=7200.0, end_s=1_700_006_400.0, plan_for="mean"))
    assert found.rate_per_s == 1.5
    assert found.prompt_tokens == pytest.approx((3600 * 200 + 7200 * 400) / 10_800)


def test_hours_without_samples_are_passed_over() -> None:
    fake = vllm()
    fake.grown["vllm:time_to_first_token_seconds_sum"] = plain(360, float("nan"))
    fake.grown["vllm:time_to_first_token_seconds_count"] = plain(3600, float("nan"))
    assert seen(fake).ttft_ms.mean is None


def test_speculation_is_counted_by_position() -> None:
    fake = vllm()
    fake.grown |= {
        "vllm:spec_decode_num_drafts_total": plain(500.4, 499.6),
        "vllm:spec_decode_num_accepted_tokens_total": plain(600, 600),
        "vllm:spec_decode_num_accepted_tokens_per_pos_total": split("position", {"0": [400, 400], "1": [199.7, 200.3]}),
    }
    found = seen(fake)
    assert found.acceptance is not None
    assert (found.acceptance.reached, found.acceptance.kept) == ((1000, 1000), (800, 400))
    assert (found.round_tokens, found.window) == (pytest.approx(2.2), 2)


def test_sglang_is_read() -> None:
    fake = FakePrometheus(
        {
            "sglang:num_requests_total": plain(360, 720),
            "sglang:prompt_tokens_total": plain(36_000, 72_000),
            "sglang:generation_tokens_total": plain(18_000, 36_000),
            "sglang:cached_tokens_total": plain(0, 18_000),
            "sglang:inter_token_latency_seconds_sum": plain(180, 720),
            "sglang:inter_token_latency_seconds_count": plain(18_000, 36_000),
            "sglang:inter_token_latency_seconds_bucket": split(
                "le", {"0.04": [18_000, 36_000], "+Inf": [18_000, 36_000]}
            ),
            "sglang:spec_accept_length": plain(2.0, 3.0),
        },
        [{"model_name": "m", "instance": "a:30000"}],
    )
    found = seen(fake)
    assert (found.rate_per_s, found.cached_share, found.replicas) == (0.2, 0.25, 1)
    assert (found.tpot_ms.mean, found.tpot_ms.p50) == (pytest.approx(20.0), None)
    assert found.itl_ms.p50 == pytest.approx(20.0)
    assert any("mean gap" in note for note in found.notes)
    assert (found.acceptance, found.round_tokens) == (None, 2.5)


def llama() -> FakePrometheus:
    return FakePrometheus(
        {
            "llamacpp:tokens_predicted_total": plain(3600, 7200),
            "llamacpp:prompt_tokens_total": plain(36_000, 72_000),
            "llamacpp:prompt_seconds_total": plain(36, 144),
            "llamacpp:tokens_predicted_seconds_total": plain(72, 288),
        },
        [{"job": "llama", "instance": "box:8080"}],
    )


def test_llama_server_does_not_count_its_requests() -> None:
    with pytest.raises(InputError, match=r"--output-tokens.*does not count its requests"):
        seen(llama())
    asked = Asked(last_s=7200.0, end_s=1_700_006_400.0, output_tokens=50.0)
    found = seen(llama(), asked)
    assert (found.rate_per_s, found.prompt_tokens, found.output_tokens) == (0.04, 500.0, 50.0)
    assert found.tpot_ms.mean == pytest.approx(40.0)
    assert found.prefill_ms_per_token == pytest.approx(2.0)
    assert found.notes[0].startswith("guessed")


def test_several_models_are_listed() -> None:
    fake = vllm()
    fake.anchors = [*VLLM_LABELS, {"model_name": "org/code", "instance": "gpu2:8000"}]
    with pytest.raises(InputError, match=r"several models: org/chat-8b, org/code; say --model"):
        seen(fake)
    asked = Asked(last_s=7200.0, end_s=1_700_006_400.0, model="org/chat-8b")
    assert seen(fake, asked).replicas == 2
    with pytest.raises(InputError, match=r"no such model; Prometheus holds org/chat-8b, org/code"):
        seen(fake, Asked(last_s=7200.0, model="other"))


def test_of_several_engines_the_model_tells_which() -> None:
    fake = vllm()
    fake.grown["llamacpp:tokens_predicted_total"] = plain(1.0, 1.0)
    with pytest.raises(InputError, match=r"several engines \(vLLM: org/chat-8b; llama-server: org/chat-8b\)"):
        seen(fake)


def test_a_model_cannot_leave_its_quotes() -> None:
    fake = vllm()
    fake.anchors = [{"model_name": 'a"b\\c'}]
    seen(fake)
    assert 'sum(increase(vllm:request_success_total{model_name="a\\"b\\\\c"}[3600s]))' in fake.queries


def test_what_holds_nothing_is_said() -> None:
    with pytest.raises(MeasurementError, match="no metrics of vLLM, SGLang or llama-server"):
        seen(FakePrometheus({}, []))
    fake = vllm()
    fake.anchors = []
    with pytest.raises(MeasurementError, match=r"no samples of it in the last 2 h; .* --last"):
        seen(fake)
    fake = vllm()
    fake.grown["vllm:generation_tokens_total"] = plain(0, 0)
    with pytest.raises(MeasurementError, match=r"org/chat-8b generated no tokens in the last 2 h"):
        seen(fake)


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refused, "cannot be reached: connection refused"),
        (lambda request: httpx.Response(401, text="who?"), "--api-key-env"),
        (lambda request: httpx.Response(200, text="# HELP vllm:x"), "is this the address of Prometheus"),
        (
            lambda request: httpx.Response(400, json={"status": "error", "error": "query too long"}),
            "it refused: query too long",
        ),
    ],
)
def test_a_server_that_does_not_answer_is_one_error(answer: object, said: str) -> None:
    transport = httpx.MockTransport(answer)  # type: ignore[arg-type]
    with Prometheus(URL, transport=transport) as server, pytest.raises(MeasurementError, match=said):
        read_history(server, TWO_HOURS)


def test_what_is_no_matrix_is_one_error() -> None:
    fake = vllm()

    def odd(request: httpx.Request) -> httpx.Response:
        answer = fake.answer(request)
        return data({"result": [{"metric": {}}]}) if request.url.path.endswith("query_range") else answer

    with Prometheus(URL, transport=httpx.MockTransport(odd)) as server, pytest.raises(MeasurementError, match="matrix"):
        read_history(server, TWO_HOURS)


def test_the_key_travels_in_a_header_alone() -> None:
    fake = vllm()
    with Prometheus(f"{URL}/", "secret-token", fake.transport) as server:
        read_history(server, TWO_HOURS)
    assert set(fake.authorization) == {"Bearer secret-token"}
    assert not any("secret" in query for query in fake.queries)
    with pytest.raises(InputError, match="holds a user name or password"):
        Prometheus("http://me:pass@host:9090")
