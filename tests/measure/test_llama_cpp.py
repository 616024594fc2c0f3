"""The llama.cpp backend against programs of our own that print what llama.cpp's benchmarks print."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.llama_cpp.profile import found_programs, profile_llama_cpp
from dsd_plan.measure.llama_cpp.runs import BATCHED_BENCH, BENCH, Run, runs_of, times_of, unreachable, within
from dsd_plan.measure.machine import SystemClock
from dsd_plan.measure.steps.grid import Grid, GridPoint

GRID = Grid(
    name="small",
    decode_batch=(1, 2, 4),
    decode_new_tokens=(1, 3),
    decode_context_tokens=(64, 500),
    prefill_batch=(1, 2),
    prefill_tokens=(16, 128),
)

FAKE = '''#!{python}
"""A machine whose steps take 10 ms + 0.5 ms a token + 0.002 ms a token of cache; a prompt 10 ms + 0.05 ms a token."""
import json, sys
arguments = sys.argv[1:]
options = dict(zip(arguments, arguments[1:]))
whole = lambda key: [int(value) for value in options[key].split(",")]
{before}
if "{program}" == "llama-bench":
    for prompt in whole("-p"):
        ns = 1e6 * (10 + 0.05 * prompt)
        print(json.dumps({{"build_commit": "abc", "build_number": 7, "model_type": "llama 1B Q8_0", "model_size": 2**30,
            "gpu_info": "", "n_prompt": prompt, "n_gen": 0, "n_depth": 0, "samples_ns": [ns] * int(options["-r"])}}))
else:
    print("llama_batched_bench: a line of another kind")
    shared = "-kvu" in arguments
    for pp in whole("-npp"):
        for tg in whole("-ntg"):
            for pl in whole("-npl"):
                if (pp if shared else pl * pp) + pl * tg > int(options["-c"]):
                    continue
                cache = (1 if shared else pl) * (pp + (tg - 1) // 2)
                print(json.dumps({{"pp": pp, "tg": tg, "pl": pl, "n_kv": 0, "is_pp_shared": int("-pps" in arguments),
                    "t_pp": (10 + 0.05 * pl * pp) / 1000, "t_tg": tg * (10 + 0.5 * pl + 0.002 * cache) / 1000}}))
'''


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    """Folder of both programs; `before` is what a program does first, for one of them or both."""

    def made(before: str = "", only: str | None = None) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for program in (BENCH, BATCHED_BENCH):
            path = folder / program
            mine = before if only in (None, program) else ""
            path.write_text(FAKE.format(python=sys.executable, program=program, before=mine), encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return folder

    return made


class Quiet(SystemClock):
    """A machine on which nothing else runs, as far as it is told."""

    load_average = 0.0

    def load(self) -> float | None:
        return self.load_average

    def others_cpu_s(self) -> float | None:
        return None

    def sleep(self, seconds: float) -> None:
        pass


class Busy(Quiet):
    load_average = 1000.0


class Hurried(Quiet):
    """Whatever a process takes, it takes this long by this clock."""

    wall = 0.0

    def wall_s(self) -> float:
        self.wall += 0.5
        return self.wall


def measured(model: Path, binaries: Path, **options: object) -> LatencyProfile:
    settings = {"device": "box", "grid": GRID, "budget_s": 40.0, "threads": 1, "clock": Hurried()}
    return profile_llama_cpp(model, binaries=binaries, **{**settings, **options})  # type: ignore[arg-type]


def test_profile_of_a_machine_with_a_known_law(model: Path, programs: Callable[..., Path]) -> None:
    profile = measured(model, programs())
    assert (profile.model, profile.backend, profile.precision) == ("tiny", "llama.cpp", "llama 1B Q8_0")
    assert profile.weights_gib == 1.0
    assert (profile.software or {})["llama.cpp"] == "7 (abc)"
    found = {(p.phase, p.batch, p.new_tokens, p.context_tokens): p for p in profile.points}
    expected = {
        (phase, batch, new, context)
        for phase, batches, news, contexts in (
            ("decode", (1, 2, 4), (1, 3), (64, 500)),
            ("prefill", (1, 2), (16, 128), (0,)),
        )
        for batch in batches
        for new in news
        for context in contexts
    }
    assert set(found) == expected
    assert found["decode", 4, 1, 500].latency_ms.p50 == pytest.approx(10 + 0.5 * 4 + 0.002 * 4 * 500)
    # One cache, three tokens: what a verify step reads.
    assert found["decode", 1, 3, 500].latency_ms.p50 == pytest.approx(10 + 0.5 * 3 + 0.002 * 500)
    # Twelve caches stand in for four: the time is an upper bound.
    assert found["decode", 4, 3, 500].latency_ms.p50 == pytest.approx(10 + 0.5 * 12 + 0.002 * 12 * 500)
    assert found["prefill", 1, 128, 0].latency_ms.p50 == pytest.approx(10 + 0.05 * 128)
    assert found["prefill", 2, 128, 0].latency_ms.p50 == pytest.approx(10 + 0.05 * 256)
    # Six rounds without noise settle every median.
    assert found["decode", 1, 1, 64].samples == 6
    assert found["prefill", 1, 128, 0].samples == 18
    method = profile.method or {}
    assert "too long rather than too short" in str(method["verify"])
    assert (method["rounds"], method["points_left_out"], method["points_beyond_llama_cpp"]) == (6, 0, 0)


def test_progress_names_the_model_and_the_round(model: Path, programs: Callable[..., Path]) -> None:
    told: list[str] = []
    measured(
        model, programs(), budget_s=60.0, timeout_s=9.0, clock=Hurried(), on_progress=lambda a, b, c: told.append(c)
    )
    assert told[0] == "tiny: round 1, run 1 of 10"
    assert told[-1] == "tiny: round 6, run 10 of 10"


def test_a_budget_that_is_spent_leaves_the_dearest_runs_out(model: Path, programs: Callable[..., Path]) -> None:
    """One of each kind is run whatever it takes: at the smallest context, or prompt, there is."""
    profile = measured(model, programs(), budget_s=0.0)
    found = {(p.phase, p.batch > 1, p.new_tokens, p.context_tokens) for p in profile.points}
    assert found == {
        ("decode", False, 1, 64),
        ("decode", True, 1, 64),
        ("decode", False, 3, 64),
        ("decode", True, 3, 64),
        ("prefill", False, 16, 0),
        ("prefill", True, 16, 0),
    }
    # Half of 6 plain and 6 verify steps, and of 4 prefills.
    assert (profile.method or {})["points_left_out"] == 8


def test_options_reach_the_programs(model: Path, programs: Callable[..., Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    folder = programs(f"open({str(log)!r}, 'a').write(' '.join(arguments) + chr(10))")
    measured(model, folder, threads=3, gpu_layers=7)
    lines = log.read_text(encoding="utf-8").splitlines()
    assert all(line.startswith(f"-m {model} -t 3 -ngl 7 ") for line in lines)
    assert len(lines) >= 1 + 3 * len(runs_of(GRID))


def test_a_context_holds_every_row_that_is_asked_for() -> None:
    for run in runs_of(GRID):
        if run.program == BATCHED_BENCH:
            cells = int(run.arguments[run.arguments.index("-c") + 1])
            needed = [pl * tg + (pp if "-kvu" in run.arguments else pl * pp) for pp, tg, pl in run.rows]
            assert cells == max(needed)


def test_more_sequences_than_llama_cpp_takes_are_counted_not_asked_for() -> None:
    grid = Grid("wide", (1, 64), (1, 5), (32, 64), (1,), (16,))
    assert unreachable(grid) == 2
    points = {point for run in runs_of(grid) for point in run.rows.values()}
    assert GridPoint("decode", 64, 5, 32) not in points
    assert GridPoint("decode", 64, 1, 32) in points
    assert all(pl <= 256 for run in runs_of(grid) for _, _, pl in run.rows)


def test_a_missing_program_is_named_with_the_way_to_get_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"llama-bench and llama-batched-bench not found in .*; build llama.cpp"):
        measured(model, tmp_path / "nowhere")


def test_programs_are_found_on_the_path(programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programs()
    monkeypatch.setenv("PATH", str(folder))
    assert found_programs(None) == {BENCH: str(folder / BENCH), BATCHED_BENCH: str(folder / BATCHED_BENCH)}


def test_a_missing_model_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="no such file; name a model in GGUF form"):
        measured(tmp_path / "no.gguf", tmp_path / "nowhere")


def test_a_model_that_does_not_load_is_told_in_the_programs_words(model: Path, programs: Callable[..., Path]) -> None:
    failing = "print('0.1 I loading'); print('error: failed to load model', file=sys.stderr); sys.exit(1)"
    with pytest.raises(MeasurementError, match="llama-bench ended with code 1: error: failed to load model"):
        measured(model, programs(failing, BENCH))


def test_a_program_that_hangs_is_stopped(model: Path, programs: Callable[..., Path]) -> None:
    with pytest.raises(MeasurementError, match="still running after 0 s and was stopped"):
        measured(model, programs("import time; time.sleep(60)"), timeout_s=0.3)


def test_a_program_that_is_none_is_told(model: Path, programs: Callable[..., Path]) -> None:
    folder = programs()
    (folder / BENCH).write_text("#!/no/such/interpreter\n", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"cannot be run: no such file or directory; build llama.cpp"):
        measured(model, folder)


def test_rows_that_do_not_fit_are_left_out_and_counted(model: Path, programs: Callable[..., Path]) -> None:
    """Twelve sequences are too many; with six, the same run works."""
    failing = "'12' in options.get('-npl', '').split(',') and sys.exit('ggml: failed to allocate')"
    profile = measured(model, programs(failing, BATCHED_BENCH))
    found = {(p.phase, p.batch, p.new_tokens) for p in profile.points}
    assert ("decode", 4, 3) not in found
    assert {("decode", 2, 3), ("decode", 4, 1), ("decode", 1, 3), ("prefill", 2, 16)} <= found
    method = profile.method or {}
    assert method["points_left_out"] == 2
    assert "failed to allocate" in str(method["first_failure"])


def test_rows_are_cut_to_the_cells_there_are() -> None:
    run = next(run for run in runs_of(GRID) if run.kind == "decode")
    assert {asked[2] for asked in run.rows} == {1, 2, 4}
    prompt, steps, _ = next(iter(run.rows))
    cut = within(run, 2 * (prompt + steps))
    assert {asked[2] for asked in cut.rows} == {1, 2}
    assert cut.arguments[cut.arguments.index("-c") + 1] == str(2 * (prompt + steps))
    assert within(run, 10**9) is run
    assert not within(run, 3).rows


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "printed no row of what it was asked for.*it printed: nothing"),
        ("| pp | tg |", "of another version"),
        ('{"pp": 64, "tg": 16', "a line that is not JSON"),
        ('{"pp": 64, "tg": 16, "pl": 1}', "a row without pp, tg, pl, t_pp and t_tg"),
        ('{"pp": 64, "tg": 16, "pl": 1, "t_pp": 1.0, "t_tg": 0.0}', "printed no row"),
    ],
)
def test_output_that_is_not_understood_is_shown(output: str, told: str) -> None:
    run = Run(BATCHED_BENCH, "decode", {(64, 16, 1): GridPoint("decode", 1, 1, 71)}, ("-npp", "64"))
    with pytest.raises(MeasurementError, match=told):
        times_of(run, output)


def test_output_of_llama_bench_that_is_not_understood_is_shown() -> None:
    run = Run(BENCH, "prefill", {(64, 0, 1): GridPoint("prefill", 1, 64, 0)}, ("-p", "64"))
    assert times_of(run, '{"n_prompt": 64, "n_gen": 0, "samples_ns": [1000000, 2000000]}') == {
        GridPoint("prefill", 1, 64, 0): (1.0, 2.0)
    }
    with pytest.raises(MeasurementError, match="without n_prompt, n_gen and samples_ns"):
        times_of(run, '{"n_prompt": 64, "n_gen": 0, "avg_ns": 1}')


def test_a_model_of_which_nothing_is_said_is_refused(model: Path, programs: Callable[..., Path]) -> None:
    with pytest.raises(MeasurementError, match="nothing about the model"):
        measured(model, programs("print('hello'); sys.exit(0)", BENCH))


def test_nothing_that_works_is_an_error(model: Path, programs: Callable[..., Path]) -> None:
    folder = programs("sys.exit('out of memory')", BATCHED_BENCH)
    grid = Grid("none", (1, 2), (1,), (64,), (2,), (16,))
    with pytest.raises(MeasurementError, match=r"no run of the grid worked; the first said: .*out of memory"):
        measured(model, folder, grid=grid)


def test_a_busy_machine_is_refused_unless_told_otherwise(model: Path, programs: Callable[..., Path]) -> None:
    folder = programs()
    with pytest.raises(MeasurementError, match="tiny: the machine is not free: load average 1000"):
        measured(model, folder, clock=Busy())
    profile = measured(model, folder, clock=Busy(), allow_contention=True)
    assert "load average 1000" in str((profile.method or {})["contention"])
