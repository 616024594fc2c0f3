"""Latency profiles: JSON of schema `dsd-plan/profile/1`, whose keys are the fields of `LatencyProfile`."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.errors import ProfileError
from dsd_plan.files.documents import document_of, save_document
from dsd_plan.files.reading import FileText, read_file


def load_profile(path: str | Path) -> LatencyProfile:
    """Read a profile. Raises ProfileError with every problem, SchemaVersionError for another version."""
    return profile_of(read_file(path, ProfileError))


def profile_of(file: FileText) -> LatencyProfile:
    """`load_profile` for a file that has been read."""
    return document_of(file, LatencyProfile, "profile", ProfileError, sense=profile_problems)


def write_profile(path: str | Path, profile: LatencyProfile) -> None:
    """Write a profile that `load_profile` gives back as it is. Raises ProfileError where it makes no sense."""
    save_document(path, profile, LatencyProfile, "profile", ProfileError, profile_problems)
