"""The table of sources: what each gives, who reads it, and what its reader was checked against."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsd_plan.files.trace_import.source import Imported, ImportOptions

METADATA_OPTIONS = ("draft", "target", "proposal", "temperature", "tokenizer_hash")
"""What every acceptance trace says of itself."""

_HERE = "dsd_plan.files.trace_import"


@dataclass(frozen=True, slots=True)
class Kind:
    """One value of `--from`."""

    name: str
    yields: Literal["acceptance", "requests"]
    what: str
    reader: str
    """`module:function` in this package, imported when it is called for."""
    checked_against: str | None = None
    """A real file; None: documentation alone, and its traces say so."""
    own_options: tuple[str, ...] = ()
    """Fields of `ImportOptions` that the reader heeds beside those of the metadata."""

    def takes(self, option: str) -> bool:
        """Whether a field of `ImportOptions` changes what is read."""
        return option in self.own_options or (self.yields == "acceptance" and option in METADATA_OPTIONS)


KINDS: tuple[Kind, ...] = (
    Kind(
        "vllm-metrics",
        "acceptance",
        "vLLM's metrics page after a run, with --before",
        "vllm:read_metrics",
        own_options=("before", "group"),
    ),
    Kind("vllm-responses", "acceptance", "vLLM responses with speculative_decoding blocks", "vllm:read_responses"),
    Kind("vllm-bench", "acceptance", "JSON of vllm bench serve", "vllm:read_bench"),
    Kind(
        "sglang-responses",
        "acceptance",
        "SGLang responses with meta_info",
        "sglang:read_responses",
        own_options=("window",),
    ),
    Kind("sglang-bench", "acceptance", "JSONL of SGLang's bench_serving", "sglang:read_bench", own_options=("window",)),
    Kind(
        "llama.cpp-responses",
        "acceptance",
        "llama.cpp responses or results with draft_n",
        "llama_cpp:read_responses",
        "InventiveHQ/speculative-decoding-consumer-gpus @ 451748f",
        own_options=("window", "group"),
    ),
    Kind("llama.cpp-log", "acceptance", "the log of llama-server", "llama_cpp:read_log", own_options=("window",)),
    Kind("aiperf", "acceptance", "AIPerf's profile_export_aiperf.json", "aiperf:read", own_options=("window",)),
    Kind(
        "spec-bench",
        "acceptance",
        "answers with accept_lengths, as Spec-Bench and EAGLE write",
        "spec_bench:read_lengths",
        own_options=("window",),
    ),
    Kind(
        "eagle",
        "acceptance",
        "EAGLE's outputs with idxs and new_tokens",
        "spec_bench:read_eagle",
        "SafeAILab/EAGLE @ 2320d52, Llama 2 70B",
        own_options=("window",),
    ),
    Kind("dsd-sim-acceptance", "acceptance", "rounds logged by DSD-Sim's profiler", "dsd_sim:read_rounds"),
    Kind(
        "acceptance-table", "acceptance", "a table in our columns, without metadata", "table:read_acceptance", "itself"
    ),
    Kind(
        "azure",
        "requests",
        "Azure LLM inference traces, 2023 and 2024",
        "workloads:read_azure",
        "Azure/AzurePublicDataset @ b469a11, 2023 code and conversation",
    ),
    Kind("burstgpt", "requests", "BurstGPT's CSV", "workloads:read_burstgpt", own_options=("group",)),
    Kind(
        "mooncake",
        "requests",
        "Mooncake's JSONL, with cached prefixes",
        "workloads:read_mooncake",
        "kvcache-ai/Mooncake @ 3b5a594, conversation",
    ),
    Kind(
        "servegen",
        "requests",
        "a folder of ServeGen's clients, sampled",
        "servegen:read",
        "alibaba/ServeGen @ f891d11, reason/deepseek-r1",
        own_options=("span_s", "seed"),
    ),
    Kind("dsd-sim", "requests", "DSD-Sim's JSONL", "workloads:read_dsd_sim", "yfzzzyyls/dsdSim @ 02c2a91, gsm8k"),
    Kind("splitwise", "requests", "traces of splitwise-sim", "workloads:read_splitwise"),
    Kind(
        "engine-run",
        "requests",
        "a logged run: input_toks, output_toks, arrival_time",
        "workloads:read_engine_run",
        "casys-kaist/LLMServingSim @ 5daddb2, RTX 4090 run of vLLM 0.19",
    ),
    Kind(
        "lengths",
        "requests",
        "lengths alone, as samplers of ShareGPT write them",
        "workloads:read_lengths",
        own_options=("rate_per_s", "seed"),
    ),
    Kind("requests-table", "requests", "a table in our columns", "table:read_requests", "itself"),
)


def kind_named(name: str) -> Kind | None:
    """The kind of this name."""
    return next((kind for kind in KINDS if kind.name == name), None)


def import_trace(path: Path, kind: Kind, options: ImportOptions) -> Imported:
    """Read a source. Raises TraceError with every problem."""
    module, _, function = kind.reader.partition(":")
    read = getattr(importlib.import_module(f"{_HERE}.{module}"), function)
    imported: Imported = read(path, options)
    if kind.checked_against is not None:
        return imported
    unverified = f"--from {kind.name} is unverified: written from documentation, without a real file at hand"
    return Imported(imported.trace, (unverified, *imported.notes))
