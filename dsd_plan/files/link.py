"""Link profiles: JSON of schema `dsd-plan/link/1`, whose keys are the fields of `LinkProfile`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.link_profile import LinkProfile, link_profile_problems
from dsd_plan.errors import ProfileError, TraceError
from dsd_plan.files.documents import document_of, save_document
from dsd_plan.files.reading import FileText, read_file
from dsd_plan.files.tables import parquet_bytes
from dsd_plan.files.writing import write_whole


def load_link(path: str | Path) -> LinkProfile:
    """Read a link profile. Raises ProfileError with every problem, SchemaVersionError for another version."""
    return link_of(read_file(path, ProfileError))


def link_of(file: FileText) -> LinkProfile:
    """`load_link` for a file that has been read."""
    return document_of(file, LinkProfile, "link", ProfileError, sense=link_profile_problems)


def write_link(path: str | Path, profile: LinkProfile) -> None:
    """Write a profile that `load_link` gives back as it is. Raises ProfileError where it makes no sense."""
    save_document(path, profile, LinkProfile, "link", ProfileError, link_profile_problems)


def write_rtt_trace(path: str | Path, trace: RttTrace) -> None:
    """Write round trips as Parquet that `load_rtt_trace` gives back. Raises TraceError for another ending."""
    if Path(path).suffix.lower() != ".parquet":
        raise TraceError(str(path), "traces are written as Parquet; let the name end in .parquet")
    columns = {"at_s": np.asarray(trace.at_s), "rtt_ms": np.asarray(trace.rtt_ms)}
    write_whole(path, parquet_bytes(columns, {}))
