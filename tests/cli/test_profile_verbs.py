"""`profile show`, `compare` and `merge`: what they print, what they write, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.cli import main
from dsd_plan.cli.heat_table import columns_that_fit, sparkline, spread_evenly
from dsd_plan.domain.profile import LatencyProfile, ProfilePoint, StepLaw, declared_profile
from dsd_plan.files import load_profile, write_link, write_profile
from tests.domain.test_profile_difference import LAW, point, profile
from tests.files.test_link import LINK

Told = pytest.CaptureFixture[str]


def grid(factor: float = 1.0, batches: Sequence[int] = (1, 2, 4, 8)) -> list[ProfilePoint]:
    steps = [
        point(factor * (4.0 + batch * new), batch=batch, new=new, half=0.01) for batch in batches for new in (1, 5)
    ]
    prompts = [
        point(factor * tokens / 10, new=tokens, phase="prefill", context_tokens=0, half=0.01) for tokens in (64, 128)
    ]
    return steps + prompts


def run(factor: float = 1.0, **more: Any) -> LatencyProfile:
    told: dict[str, Any] = {"software": {"numpy": "2.3"}, "backend": "numpy", "precision": "float32"}
    return profile(grid(factor), 0.01, **(told | more))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {
        "one": run(),
        "same": run(1.004, measured_at="2026-01-01"),
        "faster": run(0.8, software={"numpy": "2.4"}),
        "other": run(device="other"),
        "law": declared_profile("box", "m", StepLaw(step_ms=1.0, per_token_ms=0.1)),
    }
    for name, kept in made.items():
        write_profile(tmp_path / f"{name}.json", kept)
    return {name: tmp_path / f"{name}.json" for name in made}


def call(capsys: Told, *words: object) -> tuple[int, str, str]:
    code = main(["profile", *map(str, words)])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.out, told.err


def test_show_says_what_verifying_costs_and_how_far_to_trust_it(files: dict[str, Path], capsys: Told) -> None:
    code, out, err = call(capsys, "show", files["one"])
    assert (code, err) == (0, "")
    assert "m on box: measured, numpy, float32" in out
    assert "10 of 10 known within ±3 % (95 %)" in out
    assert "+1.0 % from first to last step" in out
    assert "no power measured" in out
    # Batch 1: 5 and 9 ms, so that five tokens cost 1.8 plain steps.
    lines = [line.split() for line in out.splitlines()]
    assert ["1", "5.00", "9.00"] in lines
    assert ["1", "▂", "1.80"] in lines
    assert ["64", "6.40", "ms", "(10,000)"] in lines


def test_show_as_json_is_complete(files: dict[str, Path], capsys: Told) -> None:
    code, out, _ = call(capsys, "show", files["one"], "--json")
    told = json.loads(out)
    assert code == 0
    assert told["steps"][0]["rows"][0]["verify_cost"][0]["ms"] == pytest.approx(1.8)
    assert len(told["measured_points"]) == told["points"] == 10
    assert told["trust"]["well_known"] == 10
    assert told["fit"]["law"]["step_ms"] == 1.0
    assert set(told["in_words"]["trust"]) >= {"points", "medians", "drift", "between", "beyond", "power"}


def test_show_fits_a_narrow_terminal(files: dict[str, Path], capsys: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    wide = run()
    points = [*wide.points, *(point(9.0 + new, new=new, half=0.01) for new in (2, 3, 4, 6, 7, 8, 9, 10))]
    write_profile(files["one"], replace(wide, points=tuple(points)))
    code, out, _ = call(capsys, "show", files["one"])
    assert code == 0
    rows = [line for line in out.splitlines() if line.lstrip().startswith(("batch", "1 ", "2 ", "4 ", "8 "))]
    assert rows
    assert max(len(line) for line in rows) <= 44
    assert "a wider terminal or --json shows them" in out


def test_show_writes_a_page(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    page = tmp_path / "pages" / "one.html"
    code, out, _ = call(capsys, "show", files["one"], "--html", page)
    assert code == 0
    assert out.endswith(f"wrote {page}\n")
    assert "What does verifying more tokens cost?" in page.read_text(encoding="utf-8")


def test_a_declared_law_can_be_shown(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    code, out, _ = call(capsys, "show", files["law"], "--html", tmp_path / "law.html")
    assert code == 0
    assert "none measured: every time is told by a declared law" in out
    assert "◇ declared" in out


def test_a_links_profile_is_shown_too(tmp_path: Path, capsys: Told) -> None:
    write_link(tmp_path / "link.json", LINK)
    code, out, _ = call(capsys, "show", tmp_path / "link.json")
    assert code == 0
    assert f"link to {LINK.listener}" in out
    assert "RTT p50" in out
    code, out, _ = call(capsys, "show", tmp_path / "link.json", "--json")
    assert json.loads(out)["schema"] == "dsd-plan/link/1"
    code, _, err = call(capsys, "show", tmp_path / "link.json", "--html", tmp_path / "page.html")
    assert code == 1
    assert "--html draws profiles of devices" in err


def test_compare_says_what_is_not_the_same_and_what_changed(files: dict[str, Path], capsys: Told) -> None:
    code, out, err = call(capsys, "compare", files["one"], files["faster"])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == "  not the same: software.numpy 2.3 -> 2.4"
    kinds = [line.split() for line in lines if line.strip().startswith(("decode ", "verify ", "prefill "))][:3]
    assert [(row[0], row[1], row[2]) for row in kinds] == [
        ("decode", "faster", "0.800"),
        ("verify", "faster", "0.800"),
        ("prefill", "faster", "0.800"),
    ]
    assert "10 points called changed, at most 0.500 expected to be so by chance" in out


def test_compare_of_alike_runs_finds_nothing(files: dict[str, Path], capsys: Told) -> None:
    code, out, _ = call(capsys, "compare", files["one"], files["same"])
    assert code == 0
    assert "the same model, device, backend, software and set-up" in out
    assert "faster / slower / all" in out
    assert "called changed" not in out


def test_compare_of_other_devices_warns(files: dict[str, Path], capsys: Told) -> None:
    code, out, err = call(capsys, "compare", files["one"], files["other"], "--json")
    told = json.loads(out)
    assert code == 0
    assert "warning: not the same device: box, then other" in err
    assert told["conditions"][0] == {"what": "device", "before": "box", "after": "other"}
    assert {row["change"] for row in told["points"]} == {"no significant difference"}


def test_compare_of_nothing_in_common(files: dict[str, Path], capsys: Told) -> None:
    code, out, err = call(capsys, "compare", files["one"], files["law"])
    assert code == 0
    assert "no step was measured in both" in err
    assert "only in the first: 10 points" in out


def test_merge_pools_and_says_from_what(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    target = tmp_path / "all.json"
    code, out, err = call(capsys, "merge", files["one"], files["same"], "-o", target)
    assert (code, err) == (0, "")
    assert "2 runs, 10 points" in out
    merged = load_profile(target)
    assert {p.samples for p in merged.points} == {200}
    assert merged.points[0].latency_ms.p50 == pytest.approx(5.0 * 1.002)
    assert merged.fit.folds == 5
    assert merged.method is not None
    assert merged.method["drift"] == 0.01
    for name in ("one", "same"):
        assert f"{name}.json sha256:{sha256(files[name].read_bytes()).hexdigest()}" in str(merged.method["sources"])


def test_merge_refuses_runs_that_disagree(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    target = tmp_path / "all.json"
    words = ("merge", files["one"], files["faster"], "-o", target)
    code, out, err = call(capsys, *words)
    assert (code, out) == (1, "")
    assert not target.exists()
    assert "-20.0 %" in err
    assert "and 2 more; these runs differ by more than chance and drift" in err
    code, out, err = call(capsys, *words, "--allow-disagreement", "--json")
    assert code == 0
    assert json.loads(out)["disagreements"] == 10
    assert "warning: differing by more than chance and drift: 10 of" in err
    merged = load_profile(target)
    assert merged.method is not None
    assert merged.method["disagreements"] == 10
    # 5 ms and 4 ms: the interval holds both.
    low, high = merged.points[0].latency_ms.p50_low, merged.points[0].latency_ms.p50_high
    assert low is not None
    assert high is not None
    assert low < 4.0 < 5.0 < high


def test_merge_takes_a_slow_spell_of_one_step_and_says_so(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    batches = range(1, 21)
    for name, slow in (("one", 1.0), ("same", 1.2), ("faster", 1.3)):
        points = [*grid(batches=batches), point(50.0 * slow, batch=99, half=0.01)]
        write_profile(files[name], replace(run(), points=tuple(points), measured_at=name))
    target = tmp_path / "all.json"
    code, _, err = call(capsys, "merge", files["one"], files["same"], "-o", target)
    assert code == 0
    assert "differing by more than chance and drift: 1 of the runs' common points, at most by +20.0 %" in err
    kept = next(p for p in load_profile(target).points if p.batch == 99).latency_ms
    assert kept.p50_low is not None
    assert kept.p50_high is not None
    assert kept.p50_low < 50.0 < 60.0 < kept.p50_high
    assert call(capsys, "merge", files["one"], files["faster"], "-o", target)[0] == 1


def test_merge_names_every_conflict(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    code, _, err = call(
        capsys, "merge", files["one"], files["one"], files["other"], files["law"], "-o", tmp_path / "all.json"
    )
    assert code == 1
    assert "is the same run as" in err
    assert 'device: found "box"' in err
    assert 'holds no measured points (origin "declared")' in err


def test_merge_needs_two(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    code, _, err = call(capsys, "merge", files["one"], "-o", tmp_path / "all.json")
    assert code == 1
    assert "found 1 profile; give two or more" in err


@pytest.mark.parametrize("verb", ["show", "compare", "merge"])
def test_another_schema_is_told(files: dict[str, Path], tmp_path: Path, capsys: Told, verb: str) -> None:
    body = json.loads(files["one"].read_text(encoding="utf-8"))
    files["same"].write_text(json.dumps(body | {"schema": "dsd-plan/profile/2"}), encoding="utf-8")
    words = {
        "show": (files["same"],),
        "compare": (files["one"], files["same"]),
        "merge": (files["one"], files["same"], "-o", tmp_path / "all.json"),
    }
    code, out, err = call(capsys, verb, *words[verb])
    assert (code, out) == (1, "")
    assert 'found "dsd-plan/profile/2", this dsd-plan reads "dsd-plan/profile/1"; upgrade dsd-plan' in err


@pytest.mark.parametrize("verb", ["show", "compare", "merge"])
def test_a_file_that_is_not_there_is_told(files: dict[str, Path], tmp_path: Path, capsys: Told, verb: str) -> None:
    missing = tmp_path / "none.json"
    words = {
        "show": (missing,),
        "compare": (files["one"], missing),
        "merge": (files["one"], missing, "-o", tmp_path / "all.json"),
    }
    code, _, err = call(capsys, verb, *words[verb])
    assert code == 1
    assert str(missing) in err


def test_a_page_that_cannot_be_written_is_told(files: dict[str, Path], tmp_path: Path, capsys: Told) -> None:
    (tmp_path / "blocked").write_text("")
    code, _, err = call(capsys, "show", files["one"], "--html", tmp_path / "blocked" / "page.html")
    assert code == 1
    assert "cannot be written" in err


def test_shipped_profiles_can_be_shown_and_compared(capsys: Told, tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "profiles"
    shipped = sorted(folder.glob("*/*.json"))
    assert shipped
    for path in shipped:
        assert call(capsys, "show", path, "--html", tmp_path / "page.html")[0] == 0
        code, out, _ = call(capsys, "compare", path, path, "--json")
        assert code == 0
        assert {p["change"] for p in json.loads(out)["points"]} <= {"no significant difference", "not known"}


def test_columns_that_find_no_room_leave_from_the_middle() -> None:
    assert columns_that_fit([5, 5, 5, 5], 28) == (0, 1, 2, 3)
    assert columns_that_fit([5, 5, 5, 5], 27) == (0, 2, 3)
    assert columns_that_fit([5, 5, 5, 5], 3) == (0, 3)
    assert spread_evenly(1, 2) == (0,)
    assert spread_evenly(10, 4) == (0, 3, 6, 9)


def test_bars_go_from_nothing_to_all() -> None:
    assert sparkline([-0.1, 0.0, 0.5, 0.99, 1.0, 2.0]) == "▁▁▅███"


def test_laws_alone_have_their_meaning_in_words(files: dict[str, Path], capsys: Told) -> None:
    bent = replace(run(), fit=replace(LAW, law=StepLaw(step_ms=1.0, knots=((1.0, 5.0), (8.0, 6.0)), load_scale=1.1)))
    write_profile(files["one"], bent)
    _, out, _ = call(capsys, "show", files["one"])
    assert "a step by its new tokens in all, straight between: 1.00 5.00 ms, 8.00 6.00 ms" in out
    assert "1.10 times all of it under load" in out
