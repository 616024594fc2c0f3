"""What happened on each server, and what its time comes to for each session, reckoned when all is over."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from dsd_plan.domain.step_time import StepSurface


@dataclass(frozen=True)
class Member:
    """Of an iteration: a prefill of `tokens` behind `computed`, or `tokens` decoded or verified over `context`."""

    session: Any
    tokens: int
    context: int
    computed: int | None
    rows: int
    """Of the draft's steps; 0 where it does not draft, nor prefill the draft."""

    def adds_ms(self, surface: StepSurface) -> float:
        law = surface.law
        if self.computed is None:
            return self.tokens * law[1] + self.context * law[3]
        slope = law[1] if law.size > 6 and law[2] == 0.0 else law[2]
        return slope * self.tokens + law[4] * ((self.computed + self.tokens) ** 2 - self.computed**2)

    def draft_adds_ms(self, surface: StepSurface, steps: int) -> float:
        if self.computed is not None:
            return self.adds_ms(surface)
        return steps * self.rows * (surface.law[1] + surface.law[3] * self.context)


@dataclass
class Server:
    worked: list[tuple[float, float]] = field(default_factory=list)
    """(begins, ends)."""
    moves: list[tuple[float, int, Any]] = field(default_factory=list)
    """(when, +1 or −1, which session)."""
    left_ms: float = 0.0
    nobody_ms: float = 0.0


class Ledger:
    def __init__(self) -> None:
        self.servers: dict[Any, Server] = defaultdict(Server)
        self.shares: dict[Any, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        """By session: edge_ms, draft_ms, step_ms."""

    def comes(self, server: Any, session: Any, now_ms: float, by: int = 1) -> None:
        self.servers[server].moves.append((now_ms, by, session))

    def drafts(self, device: Any, begins_ms: float, ends_ms: float, charged: list[tuple[Any, float]]) -> None:
        """`charged`: None stands for a session that has ended."""
        self.servers[device].worked.append((begins_ms, ends_ms))
        for session, ms in charged:
            if session is None:
                self.servers[device].left_ms += ms
            else:
                self.shares[session]["edge_ms"] += ms

    def iterates(self, replica: Any, pool: Any, now_ms: float, drafted: float, step: float, who: list[Member]) -> None:
        self.servers[replica].worked.append((now_ms, now_ms + drafted + step))
        constant = pool.surface.law[0]
        weights = [constant / len(who) + member.adds_ms(pool.surface) for member in who]
        self.charge("step_ms", step, [m.session for m in who], weights)
        drafting = [m for m in who if m.session.mode == "fused" and (m.rows > 0 or m.computed is not None)]
        if drafting:
            steps = max(1, *(m.session.window for m in drafting if m.computed is None), 1)
            constant = steps * pool.fused_surface.law[0]
            weights = [constant / len(drafting) + m.draft_adds_ms(pool.fused_surface, steps) for m in drafting]
            self.charge("draft_ms", drafted, [m.session for m in drafting], weights)

    def charge(self, what: str, ms: float, sessions: list[Any], weights: list[float]) -> None:
        total = sum(weights)
        for session, weight in zip(sessions, weights, strict=True):
            self.shares[session][what] += ms * (weight / total if total > 0 else 1.0 / len(sessions))

    def idle(self, server: Any) -> dict[Any, float]:
        """By session: its parts of the time that the server stood idle until the last one left; sets `nobody_ms`."""
        found: dict[Any, float] = defaultdict(float)
        mine = self.servers[server]
        live: list[Any] = []
        at_ms = 0.0
        for now_ms, by, session in mine.moves:
            free_ms = now_ms - at_ms
            free_ms -= sum(max(0.0, min(now_ms, ends) - max(at_ms, begins)) for begins, ends in mine.worked)
            for other in live:
                found[other] += free_ms / len(live)
            if not live:
                mine.nobody_ms += free_ms
            at_ms = now_ms
            if by > 0:
                live.append(session)
            else:
                live.remove(session)
        return found
