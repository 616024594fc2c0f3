"""Tables of a replay against its result; progress, and what is kept of a replay that is interrupted."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dsd_plan.domain.workload import Budgets
from dsd_plan.errors import InputError
from dsd_plan.planning import Interrupted, replay
from dsd_plan.replay import threads
from dsd_plan.replay.threads import COMPILING, Threads
from tests.replay.builder import closed, poisson, system

BUDGETS = Budgets(tpot_p95_ms=26.0, itl_p95_ms=90.0)
SYSTEM = system(
    {"chat": poisson(5.0, 100, 40), "code": poisson(2.0, 50, 1), "plain": closed(3, 0.2, 20, 10)},
    mode={"chat": "distributed", "code": "fused", "plain": "target_only"},
    devices=5,
    replicas=2,
    budgets=BUDGETS,
)
SCENARIO, PLAN = SYSTEM.scenario, SYSTEM.plan


def test_tables_add_up_to_the_result(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.parquet" for name in ("requests_out", "rounds_out", "series_out")}
    performance = replay(SCENARIO, PLAN, seed=3, requests=300, replications=3, **paths)
    assert performance == replay(SCENARIO, PLAN, seed=3, requests=300, replications=3)
    requests, rounds, series = (pl.read_parquet(path) for path in paths.values())
    for workload in performance.workloads:
        mine = requests.filter(pl.col("measured") & (pl.col("workload") == workload.name))
        assert mine.height == workload.requests
        assert mine["e2e_ms"].mean() == pytest.approx(workload.e2e_ms.mean)
        assert mine["tpot_ms"].mean() == pytest.approx(workload.tpot_ms.mean)
        assert mine["met_budgets"].mean() == pytest.approx(workload.slo_attainment)
        total = mine["uplink_bytes"].sum() + mine["downlink_bytes"].sum()
        assert total / mine["output_tokens"].sum() == pytest.approx(workload.bytes_per_token)
        if workload.round_parts is not None:
            assert mine["wait_ms"].sum() / mine["rounds"].sum() == pytest.approx(workload.round_parts.wait_ms)
    drafts = requests.filter(pl.col("workload") == "chat")["draft_replica"]
    assert set(drafts.to_list()) == set(range(5))
    assert requests.filter(pl.col("workload") != "chat")["draft_device"].null_count() == requests.height - drafts.len()
    assert requests.select("replication", "request").is_sorted(by=["replication", "request"])

    both = rounds.group_by("replication", "request").agg(
        pl.col("tokens").sum(),
        pl.col("accepted").sum().alias("took"),
        pl.col("round").max(),
        pl.col("arrived_ms").max(),
    )
    joined = requests.join(both, on=["replication", "request"], validate="1:1")
    assert joined.height == requests.height == both.height
    assert (joined["tokens"] == joined["output_tokens"]).all()
    assert (joined["took"] == joined["accepted"]).all()
    assert (joined["round"] == joined["rounds"]).all()
    ends_ms = joined["arrival_s"] * 1000.0 + joined["e2e_ms"]
    assert (ends_ms - joined["arrived_ms"]).abs().max() == pytest.approx(0.0, abs=1e-6)

    begun, count = series["from_s"].max(), 3
    assert series.group_by("replication", "workload").len().height == 3 * count
    live = series.filter(pl.col("measured")).group_by("workload").agg(pl.col("live_sessions").mean())
    chat = dict(live.iter_rows())["chat"]
    expected = performance.workload("chat").e2e_ms.mean * 5.0 / 1000.0  # type: ignore[operator]
    assert chat == pytest.approx(expected, rel=0.1)  # Little's law
    tokens = series.filter(pl.col("measured") & (pl.col("workload") == "chat"))["tokens_per_s"].mean()
    assert tokens == pytest.approx(performance.workload("chat").tokens_per_s, rel=0.05)
    assert begun is not None


def test_tables_do_not_depend_on_threads_or_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tables(name: str) -> list[bytes]:
        outs = {key: tmp_path / f"{name}-{key}.csv" for key in ("requests_out", "rounds_out", "series_out")}
        replay(SCENARIO, PLAN, seed=1, requests=200, replications=4, **outs)
        return [path.read_bytes() for path in outs.values()]

    first = tables("a")
    assert tables("b") == first
    monkeypatch.setattr(import_module("dsd_plan.replay.collecting"), "CHUNK", 500)
    monkeypatch.setattr(import_module("dsd_plan.replay.replication"), "SLOTS", 4)
    assert tables("c")[:2] == first[:2]


def test_a_saturated_plan_writes_no_table_and_says_so(tmp_path: Path) -> None:
    full = system(poisson(900.0))
    path = tmp_path / "requests.csv"
    performance = replay(full.scenario, full.plan, requests_out=path)
    assert not performance.steady
    assert performance.notes[-1] == f"nothing was replayed: {path} not written"
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_another_kind_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Threads, "run_all", lambda *_: pytest.fail("it ran"))
    for key in ("requests_out", "rounds_out", "series_out"):
        with pytest.raises(InputError, match=r"expected .parquet, .csv or .jsonl"):
            replay(SCENARIO, PLAN, **{key: Path("table.txt")})  # type: ignore[arg-type]


def interrupting(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C as soon as `after` replications have ended; those after the first `after` never end by themselves."""
    waited = threads.wait

    def wait(futures: Any, timeout: float | None = None) -> Any:
        done, waiting = waited(futures, timeout)
        if timeout is not None and len(waiting) > 0 and len(waiting) <= 4 - after:
            raise KeyboardInterrupt
        return done, waiting

    original = Threads.watch

    def watch(self: Threads, replication: int, started: int) -> None:
        while replication >= after:
            original(self, replication, started)
        original(self, replication, started)

    monkeypatch.setattr(threads, "wait", wait)
    monkeypatch.setattr(Threads, "watch", watch)


def test_an_interrupt_keeps_what_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replay(SCENARIO, PLAN, requests=200, replications=2)
    interrupting(monkeypatch, 2)
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 4)
    path = tmp_path / "requests.parquet"
    with pytest.raises(Interrupted) as stopped:
        replay(SCENARIO, PLAN, requests=200, replications=4, requests_out=path)
    kept = stopped.value.performance
    assert kept.notes[0] == "interrupted: 2 of 4 replications stand behind the numbers"
    assert replace(kept, notes=kept.notes[1:]) == whole
    assert pl.read_parquet(path)["replication"].unique().sort().to_list() == [0, 1]


def test_an_interrupt_before_any_end_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupting(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        replay(SCENARIO, PLAN, requests=200, replications=4)
    assert not isinstance(stopped.value, Interrupted)


def test_progress_is_told_in_requests_once_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, str]] = []
    waited, calls = threads.wait, iter([0, 1] * 2)

    def wait(futures: Any, timeout: float | None = None) -> Any:
        """Of the kernel's loading, then of the replications: nothing at first, then all."""
        return (set(), futures) if next(calls) == 0 else waited(futures)

    monkeypatch.setattr(threads, "PATIENCE", 1)
    monkeypatch.setattr(threads, "wait", wait)

    def keep(done: int, total: int, text: str) -> None:
        seen.append((done, total, text))

    replay(SCENARIO, PLAN, requests=400, replications=3, on_progress=keep)
    assert seen[0] == (0, 1200, COMPILING)
    assert seen[1][1:] == (1200, "0 of 3 replications")
    assert len(seen) == 2


def test_an_error_in_a_replication_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(import_module("dsd_plan.replay.series").TimeBins, "add", fail)
    with pytest.raises(ZeroDivisionError):
        replay(SCENARIO, PLAN, requests=100, replications=2)
