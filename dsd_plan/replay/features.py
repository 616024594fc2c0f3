"""What a run may need beyond the plain replay: switches that are constants when the kernel is compiled.

Read as Python everything is there. A kernel is compiled with those switches off that its plan does not need
(`kernel.kernel_for`): what lies behind them is left out, costs no time in a round, and is not compiled either.
"""

from __future__ import annotations

ENGINE: bool = True
"""Engine-like targets."""
DRAFTS_QUEUE: bool = True
"""Draft devices whose jobs stand in a queue, for some may be dropped or share a batch."""
TIMED: bool = True
"""Ways on which time matters: thin links, traces."""
FAULTY: bool = True
"""Faults; what they do to ways needs TIMED."""
CHUNKED: bool = True
"""Plain targets whose iterations hold so many new tokens at most."""
TIRING: bool = True
"""Devices that slow down while they work."""
ORDERED: bool = True
"""Plain targets whose queues are ordered by priority, or where jobs of like size go together."""
ROUTED: bool = True
"""Routing that asks how long servers took, or how fast they are, or takes the better one of two."""
BILLED: bool = True
"""What each request costs its servers is added up."""

NAMES = ("ENGINE", "DRAFTS_QUEUE", "TIMED", "FAULTY", "CHUNKED", "TIRING", "ORDERED", "ROUTED", "BILLED")
