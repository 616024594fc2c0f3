"""Prints the model's errors against the replayer over random systems: `python -m tests.benchmarks.agreement_table`.

Systems are drawn from seeds that the tests do not use. An argument gives how many a regime,
modes behind it which ones.
"""

from __future__ import annotations

import sys

from tests.model.agreement import Errors, errors
from tests.model.random_systems import Drafts, Kind

REGIMES: tuple[tuple[str, Kind, Drafts], ...] = (
    *(("target_only", kind, "plenty") for kind in ("open", "closed")),
    *(("fused", kind, "plenty") for kind in ("open", "closed")),
    *(("distributed", kind, "plenty") for kind in ("open", "closed")),
    *(("distributed", kind, "shared") for kind in ("open", "closed")),
    *(("pipelined", kind, drafts) for drafts in ("plenty", "shared") for kind in ("open", "closed")),
    *(("paths", kind, drafts) for drafts in ("plenty", "shared") for kind in ("open", "closed")),
    *(("batched", kind, "shared") for kind in ("open", "closed")),
    *(("mixed", kind, "shared") for kind in ("open", "closed")),
)
COLUMNS = ("ttft_ms.mean", "ttft_ms.p95", "tpot_ms.mean", "tpot_ms.p95", "tpot_ms.p99", "itl_ms.p95", "e2e_ms.p95")
FIRST_SEED = 50_000


def chosen_regimes() -> list[tuple[str, Kind, Drafts]]:
    """Those whose modes are named on the command line behind the count; all if none is."""
    return [regime for regime in REGIMES if regime[0] in (sys.argv[2:] or [regime[0]])]


def row(mode: str, kind: str, drafts: str, found: Errors) -> str:
    """A line of the Markdown table: mean | 90 % | worst absolute error in per cent."""
    name = f"{mode}, {drafts} drafts" if mode in ("distributed", "pipelined", "paths", "batched", "mixed") else mode
    cells = [f"{100 * found.typical(m):.1f} / {100 * found.usual(m):.0f} / {100 * found.worst(m):.0f}" for m in COLUMNS]
    return f"| {name}, {kind} | " + " | ".join(cells) + f" | {found.relative['tpot_ms.mean'].size} |"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print("| regime | " + " | ".join(COLUMNS) + " | streams |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for mode, kind, drafts in chosen_regimes():
        found = errors(range(FIRST_SEED, FIRST_SEED + count), mode, kind, drafts, requests=5000, replications=4)
        print(row(mode, kind, drafts, found), flush=True)
        bias = {m: round(100 * found.bias(m), 1) for m in (*COLUMNS, "tokens_per_s", "mean_batch")}
        print(
            f"  bias {bias}; busy {100 * found.typical('busy'):.1f} points; unsettled {found.unsettled}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
