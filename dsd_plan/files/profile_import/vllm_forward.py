"""`vllm bench forward --output-json`: times of single forward passes over requests of given lengths.

Written from the documentation of vLLM 0.33; not checked against a file that it wrote. A row is
``{"case": …, "requests": [{"query_len", "kv_len", "num_draft_tokens"}, …], "median_us": …}``.

`kv_len` is read as vLLM's length of a sequence with this step's queries in it, so that ``kv_len − query_len`` tokens
were cached before; where any row of a file has a `kv_len` below its `query_len`, that cannot be, and in the whole file
it is read as the tokens cached before. The profile and a warning say which.

A row whose requests are alike is a step: with nothing cached a prefill, else a decode or verify step of `query_len`
new tokens. Rows of unlike requests are mixed steps, which a profile does not hold: they are counted and left out.
"""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.profile import Phase, ProfilePoint
from dsd_plan.errors import Problem, ProfileError
from dsd_plan.files.profile_import.imported import (
    NO_VERIFY,
    ONE_VALUE,
    Imported,
    ImportedProfile,
    ImportOptions,
    citation_warnings,
    cited,
    one_value,
    refuse,
)
from dsd_plan.files.profile_import.rows import Row, all_problems, json_rows
from dsd_plan.files.reading import read_file

UNVERIFIED = "vllm-forward is read from the documentation of vLLM 0.33 and was not checked against a file that it wrote"
WHOLE = "kv_len is read as the whole sequence, this step's tokens included"
BEFORE = "kv_len is read as the tokens cached before this step, as some are fewer than the step's own"


def read(path: Path, options: ImportOptions) -> Imported:
    """The profile in one file of rows. Raises ProfileError."""
    file = read_file(path, ProfileError)
    rows = json_rows(file, "results")
    requests = [_requests(row) for row in rows]
    whole = all(kv >= query for lengths in requests for query, kv in lengths or ())
    reading = WHOLE if whole else BEFORE
    medians: dict[tuple[Phase, int, int, int], float] = {}
    mixed = 0
    for row, lengths in zip(rows, requests, strict=True):
        median_us = row.above_zero("median_us")
        if lengths is None or median_us is None:
            continue
        if len(set(lengths)) > 1:
            mixed += 1
            continue
        query, kv = lengths[0]
        cached = kv - query if whole else kv
        phase: Phase = "decode" if cached else "prefill"
        if (phase, len(lengths), query, cached) in medians:
            row.problems.append(Problem(row.place, "the same step is there already; keep one of them"))
        medians[phase, len(lengths), query, cached] = median_us / 1000.0
    refuse(file.name, all_problems(rows))
    if not medians:
        raise ProfileError(file.name, f"all {mixed} rows are of unlike requests; run cases of equal lengths")
    if options.device is None or options.model is None:
        raise ProfileError(file.name, "the rows name neither device nor model; give --device and --model")
    points = tuple(
        ProfilePoint(
            phase=phase,
            batch=batch,
            new_tokens=query,
            context_tokens=cached,
            samples=1,
            latency_ms=one_value(medians[phase, batch, query, cached]),
        )
        for phase, batch, query, cached in sorted(medians)
    )
    verify = any(point.phase == "decode" and point.new_tokens > 1 for point in points)
    found = ImportedProfile(
        device=options.device,
        model=options.model,
        points=points,
        method={
            "imported_from": "vllm-forward",
            "unverified": UNVERIFIED,
            "source_sha256": file.sha256,
            "rows_mixed_left_out": mixed,
            "spread": ONE_VALUE,
            "context": reading,
            "verify": None if verify else NO_VERIFY,
        },
        citation=cited(options, "output of vllm bench forward"),
        backend="vllm",
    )
    return Imported((found,), (UNVERIFIED, f"context: {reading}", *citation_warnings(options)))


def _requests(row: Row) -> list[tuple[int, int]] | None:
    """(query_len, kv_len) of each request."""
    requests = row.values.get("requests")
    if not isinstance(requests, list) or not requests or not all(isinstance(request, dict) for request in requests):
        row.problems.append(Problem(row.place, "requests: expected a list of tables, one for each request"))
        return None
    found = []
    for index, values in enumerate(requests):
        request = Row(f"{row.place}: requests[{index}]", values, row.problems)
        query, kv = request.whole("query_len", 1), request.whole("kv_len")
        if query is not None and kv is not None:
            found.append((query, kv))
    return found if len(found) == len(requests) else None
