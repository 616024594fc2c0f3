"""Importers of published measurements: one module a source, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsd_plan.errors import ProfileError
from dsd_plan.files.profile_import import dsd_sim, layer_tables, llama_bench, splitwise, vidur, vllm_forward
from dsd_plan.files.profile_import.imported import Imported, ImportedProfile, Importer, ImportOptions

__all__ = ["KINDS", "ImportOptions", "Imported", "ImportedProfile", "Kind", "import_profile"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A source that can be imported."""

    summary: str
    importer: Importer
    verified: bool
    """Whether it was checked against a file that the source really wrote."""


KINDS: Mapping[str, Kind] = {
    "splitwise": Kind("perf_model.csv of SplitwiseSim", splitwise.read, verified=True),
    "layer-tables": Kind("folder of LLMServingSim's layer times; needs --layers", layer_tables.read, verified=True),
    "llama-bench": Kind("output of llama-bench -o json", llama_bench.read_bench, verified=True),
    "llama-batched-bench": Kind(
        "output of llama-batched-bench --output-format jsonl", llama_bench.read_batched_bench, verified=True
    ),
    "vllm-forward": Kind("output of vllm bench forward --output-json", vllm_forward.read, verified=False),
    "dsd-sim": Kind("latency cache or rows of DSD-Sim", dsd_sim.read, verified=False),
    "vidur": Kind("folder of Vidur's operator profiles; needs --layers", vidur.read, verified=False),
}
"""By the name that ``--from`` takes."""


def import_profile(path: Path, kind: str, options: ImportOptions) -> Imported:
    """Points and provenance of every profile in a source. Raises ProfileError with all that is wrong with it."""
    if kind not in KINDS:
        raise ProfileError(str(path), f'no importer "{kind}"; known: {", ".join(KINDS)}')
    return KINDS[kind].importer(path, options)
