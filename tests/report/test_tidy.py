"""A study as flat tables: every number is there, once, under its name."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from dsd_plan.errors import InputError
from dsd_plan.files.tidy import csv_text, write_tidy
from dsd_plan.report import tidy_tables
from tests.report.studies import full_study, hostile, measured_study, tiny_study


def test_numbers_have_their_source_and_interval() -> None:
    rows = tidy_tables([full_study()])["numbers"]
    (row,) = [
        r
        for r in rows
        if (r["plan"], r["source"], r["name"], r["metric"]) == ("chosen", "replay", "chat", "tpot_ms.mean")
    ]
    seen = full_study().replayed.workloads[0]
    assert seen.ci is not None
    assert row["value"] == seen.tpot_ms.mean
    assert (row["low"], row["high"]) == seen.ci["tpot_ms.mean"]
    keys = [(r["study"], r["plan"], r["source"], r["scope"], r["name"], r["metric"]) for r in rows]
    assert len(keys) == len(set(keys))


def test_rows_are_even_and_flat() -> None:
    tables = tidy_tables([full_study(), measured_study(), tiny_study()])
    for name, rows in tables.items():
        assert len({tuple(row) for row in rows}) == 1, name
        assert next(iter(rows[0])) == "study"
        for row in rows:
            assert all(value is None or isinstance(value, str | int | float) for value in row.values()), name
    assert {row["study"] for row in tables["studies"]} == {"two-clinics", "this machine", "tiny"}


def test_what_a_study_draws_is_there_in_full() -> None:
    study = full_study()
    tables = tidy_tables([study])
    assert len(tables["curves"]) == sum(len(curve.points) for curve in study.curves)
    assert len(tables["maps"]) == sum(len(drawn.cells) for drawn in study.maps)
    assert len(tables["agreements"]) == len(study.agreements)
    assert tables["budgets"][0] == {
        "study": "two-clinics",
        "scope": "chat",
        "budget": "ttft_p95_ms",
        "limit": 800.0,
        "predicted": 437.0,
        "replayed": 482.0,
        "replayed_low": 474.0,
        "replayed_high": 490.0,
        "kept": True,
        "together": None,
        "chance_broken": None,
        "undecided": False,
    }
    assert tables["option_devices"][0] == {
        "study": "two-clinics",
        "kind": "option",
        "option": "do nothing: plain decoding on the target",
        "device": "gpu-server",
        "count": 4,
    }
    searched = tables["tipping_points"][0]
    assert (searched["searched_from"], searched["searched_to"]) == (1.0, 400.0)
    assert [row["survival"] for row in tables["acceptance_positions"]] == list(study.acceptance[0].survival)


def test_csv_gives_back_what_went_in(tmp_path: Path) -> None:
    tables = tidy_tables([hostile(full_study())])
    write_tidy(tmp_path / "out", tables)
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(tables)
    for name, rows in tables.items():
        text = (tmp_path / "out" / f"{name}.csv").read_bytes().decode("utf-8")
        read = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(read) == len(rows)
        for got, row in zip(read, rows, strict=True):
            assert list(got) == list(row)
    text = (tmp_path / "out" / "numbers.csv").read_bytes().decode("utf-8")
    numbers = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["value"] and float(row["value"]) for row in numbers] == [
        "" if row["value"] is None else row["value"] for row in tables["numbers"]
    ]


def test_truths_and_unknowns() -> None:
    assert csv_text([{"a": True, "b": None, "c": 0.1}]) == "a,b,c\ntrue,,0.1\n"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        write_tidy(tmp_path / "taken", {})
