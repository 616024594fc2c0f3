"""Model against replay over hundreds of random systems: `python -m tests.benchmarks.agreement_study --help`.

Replays are kept in a folder, one line each, so that a study that was stopped goes on where it was, and a changed
model is judged by the same replays again. A system whose description changed is replayed anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.benchmarks.agreement_figures import picture, tables
from tests.benchmarks.agreement_systems import REGIMES, Regime
from tests.model.agreement import FEWEST_REQUESTS, LATENCIES, STATISTICS

FIRST_SEED = 200_000
SYSTEMS = 150
REQUESTS, REPLICATIONS = 8000, 4
PICTURE = Path("docs/agreement.svg")
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One system of the study."""

    regime: int
    seed: int

    def system(self) -> Deployed:
        """It, drawn anew."""
        return REGIMES[self.regime].draw(self.seed)


def replayed(case: Case) -> Record:
    """What is kept of a replay."""
    deployed = case.system()
    seen = replay(deployed, seed=case.seed, requests=REQUESTS, replications=REPLICATIONS)
    return {
        "regime": REGIMES[case.regime].name,
        "seed": case.seed,
        "system": _fingerprint(deployed),
        "steady": seen.steady,
        "load": seen.devices[0].saturation,
        "busy": seen.devices[0].busy,
        "mean_batch": seen.devices[0].mean_batch,
        "streams": _streams(seen),
    }


def predicted(case: Case) -> Record:
    """The same of a prediction; the word `refused` alone where the model gives no number."""
    try:
        seen = predict(case.system())
    except UnstableError as refused:
        return {"refused": str(refused)}
    return {"busy": seen.devices[0].busy, "mean_batch": seen.devices[0].mean_batch, "streams": _streams(seen)}


def _streams(seen: Performance) -> list[Record]:
    return [
        {
            "requests": stream.requests,
            "tokens_per_s": stream.tokens_per_s,
            **{f"{law}.{s}": getattr(getattr(stream, law), s) for law in LATENCIES for s in STATISTICS},
            "half_width": {
                metric: (ends[1] - ends[0]) / 2.0 for metric, ends in (stream.ci or {}).items() if ends is not None
            },
        }
        for stream in seen.workloads
    ]


def _fingerprint(deployed: Deployed) -> str:
    """Of what was chosen, so that a new key that a scenario may have leaves replays as they are."""
    parts = [
        TypeAdapter(type(told)).dump_json(told, exclude_defaults=True) for told in (deployed.scenario, deployed.plan)
    ]
    return sha256(b"".join([*parts, f"{REQUESTS} {REPLICATIONS}".encode()])).hexdigest()[:16]


def kept(folder: Path, regime: Regime) -> dict[int, Record]:
    """Replays of a regime that were made before, by seed."""
    path = _file(folder, regime)
    if not path.exists():
        return {}
    records = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}"))
    return {record["seed"]: record for record in records}


def _file(folder: Path, regime: Regime) -> Path:
    return folder / f"{regime.name.replace(', ', '-').replace(' ', '_')}.jsonl"


def run_missing(folder: Path, cases: Sequence[Case], workers: int) -> None:
    """Replay what is not kept yet, one line as soon as each is done."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {index: kept(folder, regime) for index, regime in enumerate(REGIMES)}
    missing = []
    for case in cases:
        record = known[case.regime].get(case.seed)
        if record is None or record["system"] != _fingerprint(case.system()):
            missing.append(case)
    with ProcessPoolExecutor(workers) as pool:
        runs = {pool.submit(replayed, case): case for case in missing}
        for done, run in enumerate(as_completed(runs), 1):
            with _file(folder, REGIMES[runs[run].regime]).open("a", encoding="utf-8") as file:
                file.write(json.dumps(run.result()) + "\n")
            print(f"\r{done} of {len(missing)} replays", end="", file=sys.stderr, flush=True)
    if missing:
        print(file=sys.stderr)


def compared(folder: Path, cases: Sequence[Case], workers: int) -> Iterator[Record]:
    """Each replay with the prediction beside it."""
    known = {index: kept(folder, REGIMES[index]) for index in {case.regime for case in cases}}
    with ProcessPoolExecutor(workers) as pool:
        for case, prediction in zip(cases, pool.map(predicted, cases, chunksize=4), strict=True):
            record = known[case.regime][case.seed]
            yield {**record, "mode": REGIMES[case.regime].mode, "predicted": prediction}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--systems", type=int, default=SYSTEMS, help="a regime (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="default %(default)s")
    parser.add_argument("--modes", nargs="*", help="only these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path("build/agreement"), help="where replays are kept")
    parser.add_argument("--kept", action="store_true", help="replay nothing: only what was replayed before")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="default %(default)s")
    asked = parser.parse_args()
    seeds = range(asked.first_seed, asked.first_seed + asked.systems)
    chosen = [index for index, regime in enumerate(REGIMES) if not asked.modes or regime.mode in asked.modes]
    # Seed by seed, so that a study that is stopped early has covered every regime alike.
    cases = [Case(regime, seed) for seed in seeds for regime in chosen]
    if asked.kept:
        known = {index: kept(asked.keep, REGIMES[index]) for index in chosen}
        cases = [case for case in cases if case.seed in known[case.regime]]
    else:
        run_missing(asked.keep, cases, asked.workers)
    records = list(compared(asked.keep, cases, asked.workers))
    print(tables(records, FEWEST_REQUESTS))
    asked.picture.write_text(picture(records, FEWEST_REQUESTS), encoding="utf-8")


if __name__ == "__main__":
    main()
