"""`dsd-plan profile link`, both sides, over loopback; no time is asserted."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.link_text import link_text, link_warnings
from dsd_plan.cli.profile_link import host_and_port
from dsd_plan.domain.link_profile import JitterFit, RttMoment
from dsd_plan.files import load_link, load_rtt_trace, write_link
from dsd_plan.measure.link.listener import LinkListener
from dsd_plan.measure.link.protocol import DEFAULT_PORT
from tests.files.conftest import fill
from tests.files.test_link import LINK, TAKES_IT

Captured = pytest.CaptureFixture[str]


def measure(*arguments: str) -> int:
    """`profile link` against a listener of its own; its exit code."""
    with LinkListener("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=listener.serve)
        thread.start()
        code = main(["profile", "link", f"127.0.0.1:{listener.port}", "--for", "1.2", *arguments])
        listener.stop()
        thread.join()
    return code


def test_a_link_is_measured_written_and_shown(tmp_path: Path, capsys: Captured) -> None:
    link, trace = tmp_path / "links" / "lo.json", tmp_path / "rtt.parquet"
    assert measure("--bulk", "0", "--payload", "0", "-o", str(link), "--trace-out", str(trace)) == ExitCode.OK
    text = capsys.readouterr().out
    profile = load_link(link)
    assert len(load_rtt_trace(trace).at_s) == profile.samples
    assert f"{link}: link to 127.0.0.1:" in text
    assert "bandwidth up          not measured" in text
    assert "clocks were not synchronised" in text
    assert max(row.up_bytes for row in profile.by_payload) == 64


def test_the_profile_as_json_is_the_file(tmp_path: Path, capsys: Captured) -> None:
    link = tmp_path / "lo.json"
    assert measure("--bulk", "0.1", "--payload", "2000", "--json", "-o", str(link)) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(link.read_text(encoding="utf-8"))
    assert told["uplink_mbps"] > 0


def test_a_place_that_cannot_be_written_costs_only_the_file(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert measure("--bulk", "0", "--payload", "0", "-o", str(tmp_path / "file" / "lo.json")) == ExitCode.BAD_INPUT
    captured = capsys.readouterr()
    assert "RTT p50" in captured.out
    assert "cannot be written" in captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give HOST[:PORT] to measure, or --listen"),
        (["far", "--listen"], "give HOST[:PORT] to measure, or --listen"),
        (["--listen", "-o", "x.json"], "--listen writes no file"),
        (["far:0"], "expected HOST or HOST:PORT"),
        (["far:http"], "expected HOST or HOST:PORT"),
        (["far:1", "--port", "2"], "found port 1 in HOST and 2 in --port"),
        (["far", "--trace-out", "rtt.csv"], "let it end in .parquet"),
        (["far", "--for", "0"], "--for"),
    ],
)
def test_usage_is_told(arguments: list[str], text: str, capsys: Captured) -> None:
    assert main(["profile", "link", *arguments]) == ExitCode.USAGE
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("far", ("far", DEFAULT_PORT)),
        ("far:9", ("far", 9)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("::1", ("::1", DEFAULT_PORT)),
        ("[::1]:9", ("::1", 9)),
        ("[::1]", ("::1", DEFAULT_PORT)),
    ],
)
def test_hosts_and_ports(where: str, found: tuple[str, int]) -> None:
    assert host_and_port(where, None) == found


def test_nobody_there_is_bad_input(capsys: Captured) -> None:
    with LinkListener("127.0.0.1", 0) as gone:
        port = gone.port
    assert main(["profile", "link", f"127.0.0.1:{port}"]) == ExitCode.BAD_INPUT
    assert "start `dsd-plan profile link --listen` on that machine" in capsys.readouterr().err


def test_rows_tell_every_number_or_that_it_is_not_known() -> None:
    rows = dict(link_text(LINK))
    assert rows["RTT p50"].replace("\u202f", " ") == "41.0 ms (40.8 ms to 41.2 ms at 95 %)"
    assert rows["RTT p95"].replace("\u202f", " ") == "47.0 ms (46.0 ms to ? at 95 %)"
    assert "the way up is the unsteady one" in rows["one-sidedness"]
    assert rows["jitter_cv"] == "0.100, which tells p95 to -4% and p99 to +2%"
    assert rows["loss down"] == "not known"
    assert "12 of 900" in rows["loss up"]


def test_warnings_say_what_the_numbers_cannot() -> None:
    assert link_warnings(LINK) == ()
    moments = tuple(RttMoment(at_s=float(s), samples=30, p50_ms=20.0 + 20 * (s > 5), p95_ms=25.0) for s in range(10))
    spoilt = replace(
        LINK,
        transport="tcp",
        method={"ended_early": "the other side closed the connection"},
        jitter_fit=JitterFit(p95_error=0.4, p99_error=0.1, clipped=False),
        over_time=moments,
    )
    told = "\n".join(link_warnings(spoilt))
    for text in ("ended early: the other side", "udp did not get through", "do not follow the law", "changed while"):
        assert text in told


def test_check_says_which_links_were_measured(tmp_path: Path, capsys: Captured) -> None:
    scenario = fill(tmp_path).scenario
    write_link(tmp_path / "metro.json", replace(LINK, transport="tcp", loss=None, loss_up=None))
    text = scenario.read_text(encoding="utf-8")
    scenario.write_text(text.replace(TAKES_IT[0], 'profile = "metro.json"\n'), encoding="utf-8")
    assert main(["check", str(scenario)]) == ExitCode.OK
    captured = capsys.readouterr()
    line = next(line for line in captured.out.splitlines() if line.startswith("link clinic"))
    assert "measured 2026-01-01T00:00:00+00:00, 900 round trips over tcp, p95 47.0 ms" in line
    assert "link clinic – region: udp did not get through" in captured.err
