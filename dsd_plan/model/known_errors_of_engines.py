"""The model's own errors on engine-like targets; as in `known_errors.KNOWN`."""

from __future__ import annotations

ENGINE = "engine "
"""Before the modes of streams on an engine-like target."""

KNOWN_OF_ENGINES: dict[tuple[str, str, str], dict[str, float]] = {
    ("engine mixed", "open", "shared"): {},
    ("engine mixed", "closed", "shared"): {},
}
