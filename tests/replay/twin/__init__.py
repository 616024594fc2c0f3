"""The replayer once more, slow and readable: objects, closures and `heapq`.

Written from the rules (docs/invariants.md), it shares with the kernel only what both must read from the same
place: the deployed plan, the step-time functions of `domain`, and when closed users first ask. Its random numbers
are the same hash in plain integers.
"""

from tests.replay.twin.random_numbers import key_of_request, uniform
from tests.replay.twin.world import Twin

__all__ = ["Twin", "key_of_request", "uniform"]
