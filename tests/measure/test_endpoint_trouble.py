"""Servers that refuse, die, stall or talk nonsense: a clear error that names phase and request, and nothing lost."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.endpoint.client import _Reading, server_root
from dsd_plan.measure.endpoint.plan import EndpointRun
from dsd_plan.measure.endpoint.run_all import profile_endpoint
from tests.measure.fake_device import FakeClock
from tests.measure.scripted_server import LAW, Script, ScriptedServer, VirtualLoop
from tests.measure.test_endpoint import SMALL, assert_law, profiled


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(dies_at=30), ("request ", "connection to the server broke", "is it up")),
        (Script(stalls_at=30), ("request ", "silent for 30 s", "stalled")),
        (Script(garbage_at=30), ("request ", "502 Bad Gateway", "expected server-sent events")),
        (Script(usage=False), ("usage", "--tokens-per-word")),
        (Script(key="s3cret"), ("401", "--api-key-env")),
    ],
)
def test_trouble_names_what_was_asked_and_what_to_do(script: Script, words: tuple[str, ...]) -> None:
    with pytest.raises(MeasurementError) as caught:
        profiled(script)
    for word in words:
        assert word in str(caught.value)


def test_phase_is_named() -> None:
    with pytest.raises(MeasurementError, match=r"tokens, round 1, request \d"):
        profiled(Script(dies_at=30))


def test_model_that_is_not_served() -> None:
    with pytest.raises(MeasurementError, match=r"404 .*--model.*no model other"):
        profiled(model="other")


def test_model_must_be_named_where_several_are_served() -> None:
    with pytest.raises(InputError, match="2 models: a, b; name the model"):
        profiled(Script(models=("a", "b")))
    assert profiled(Script(models=("a", "b")), model="b").profile.model == "b"


def test_key_is_sent_and_saved_nowhere() -> None:
    kept: list[EndpointRun] = []
    made = profiled(Script(key="s3cret"), api_key="s3cret", keep=kept.append)
    assert_law(made.profile.fit.law, LAW, 0.005)
    assert "s3cret" not in repr(made)
    assert "s3cret" not in repr(kept)


def test_without_usage_the_tokens_per_word_serve() -> None:
    settings = replace(SMALL, tokens_per_word=1.5)
    made = profiled(Script(usage=False, fixed_tokens=0), settings)
    assert_law(made.profile.fit.law, LAW, 0.02)
    assert (made.profile.method or {})["usage_reported"] is False


def test_what_was_measured_is_kept_and_gone_on_with() -> None:
    kept: list[EndpointRun] = []
    with pytest.raises(MeasurementError):
        profiled(Script(dies_at=60), keep=kept.append)
    before = kept[-1]
    assert len(before.results) > 3
    server = ScriptedServer()
    made = profiled(transport=server, before=lambda model: before, keep=kept.append)
    assert_law(made.profile.fit.law, LAW, 0.005)
    assert kept[-1].results[: len(before.results)] == before.results
    whole = ScriptedServer()
    profiled(transport=whole)
    assert server.generating < whole.generating - 20
    names = [result.trial.name for result in kept[-1].results]
    assert len(set(names)) == len(names)


def test_a_run_with_other_settings_is_not_gone_on_with() -> None:
    kept: list[EndpointRun] = []
    profiled(keep=kept.append)
    with pytest.raises(InputError, match="another output_tokens, seed"):
        profiled(settings=replace(SMALL, output_tokens=32, seed=9), before=lambda model: kept[-1])


def test_server_that_crawls_does_not_hold_the_run_for_ever() -> None:
    slow = Script(law=replace(LAW, step_ms=5000.0))
    settings = replace(SMALL, budget_s=60.0, request_timeout_s=1e5)
    with pytest.raises(MeasurementError, match=r"not finished|raise --budget-s"):
        profiled(slow, settings)


def test_no_server_at_all() -> None:
    with pytest.raises(MeasurementError, match=r"asking for the models.*is it up"):
        profile_endpoint("http://127.0.0.1:9/", SMALL, device="gpu", salt=1, clock=FakeClock())


def test_waiting_for_ever_is_found_by_the_tests_themselves() -> None:
    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="waits for ever"):
        loop.run_until_complete(loop.create_future())
    loop.close()


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:8000", "http://h:8000"),
        ("http://h:8000/v1/", "http://h:8000"),
        ("https://h/proxy/v1", "https://h/proxy"),
    ],
)
def test_address_with_and_without_v1(url: str, root: str) -> None:
    assert server_root(url) == root


@pytest.mark.parametrize(
    "url",
    ["h:8000", "ftp://h", "", "http://user:pass@h", "http://[::1", "http://h:99999", "http://h:abc", "http://h:0"],
)
def test_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="the address"):
        server_root(url)


@pytest.mark.parametrize("listed", [[], {"data": None}, {"data": 5}, {"data": [{"id": "known", "meta": "none"}]}])
def test_a_list_of_models_in_another_shape_is_no_crash(listed: object) -> None:
    class Odd(ScriptedServer):
        async def _page(self, path: str) -> httpx.Response:
            return await (self._reply(200, listed) if path == "/v1/models" else super()._page(path))

    made = profiled(transport=Odd(), model="known")
    assert_law(made.profile.fit.law, LAW, 0.005)


def test_a_proxy_that_holds_answers_back_is_told() -> None:
    with pytest.raises(MeasurementError, match=r"came in one piece.*stream"):
        profiled(Script(buffered=True))


TEXT = b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n\n'
END = b'data: {"choices": [{"text": "", "finish_reason": "length"}]}\n\n'


def read(*pieces: bytes) -> tuple[float, ...]:
    """Arrivals of an answer that comes in these pieces, the first at 1 s, the next at 2 s."""
    reading = _Reading("request 1")
    for at_s, piece in enumerate(pieces, start=1):
        reading.take(piece, float(at_s))
    return reading.answer(0.5, 0.0, injected=False)[0].arrivals_s


@pytest.mark.parametrize(
    "pieces",
    [
        (TEXT.replace(b"\n", b"\r\n"), END),
        (b": ping\n\ndata:\n\n" + TEXT, END),
        (b'data: {"choices":\ndata: [{"text": "a"}]}\n\n', END),
        (TEXT + b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n', END),
        (TEXT + b'data: {"choices": []}\n\n', END.rstrip()),
    ],
)
def test_streams_as_the_standard_allows_them(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == (1.0,)


@pytest.mark.parametrize(
    "body", [b'{"choices": 5}', b'{"choices": "ab"}', b"[" * 100_000, b'{"a":' * 100_000, b'{"choices": [', b"[]"]
)
def test_events_that_are_none_are_told(body: bytes) -> None:
    with pytest.raises(MeasurementError, match=r"request 1: found .* expected server-sent events"):
        read(b"data: " + body + b"\n\n", TEXT, END)


def test_a_single_token_without_text_is_told_by_the_answers_end() -> None:
    """A token that prints as nothing (half of a character, a mark): it came no later than the end did."""
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": %d}}\n\n'
    assert read(END, usage % 1) == (1.0,)
    with pytest.raises(MeasurementError, match="held no text"):
        read(END, usage % 2)
