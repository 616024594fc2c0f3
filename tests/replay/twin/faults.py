"""Faults: what is cut, away or slow when, and what becomes of the sessions."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.faults import Detour, Spell, cuts, detours, outages, slow_devices, slow_links
from dsd_plan.domain.network import Hop
from tests.replay.twin.parts import Replica, Session

if TYPE_CHECKING:
    from tests.replay.twin.world import Twin

STALLED, DETOURED, ALONE, MOVED, REFILLED = 1, 2, 4, 8, 16


def holds(spell: Spell | Detour, now_ms: float) -> bool:
    return spell.from_s * 1000.0 <= now_ms < spell.until_s * 1000.0


def slowness(spells: tuple[Spell, ...], now_ms: float) -> float:
    factor = 1.0
    for spell in spells:
        if holds(spell, now_ms):
            factor *= spell.factor
    return factor


def is_away(spells: tuple[Spell, ...], now_ms: float) -> bool:
    return any(holds(spell, now_ms) for spell in spells)


def fails_next_ms(spells: tuple[Spell, ...], now_ms: float) -> float:
    return min((s.from_s * 1000.0 for s in spells if s.from_s * 1000.0 > now_ms), default=inf)


class Faults:
    def __init__(self, twin: Twin, deployed: Deployed) -> None:
        self.twin = twin
        self.scenario = scenario = deployed.scenario
        self.any = bool(scenario.faults)
        self.cuts = [cuts(scenario, link) for link in range(len(scenario.links))]
        self.slow = [slow_links(scenario, link) for link in range(len(scenario.links))]
        sites = [(s.workload.site, deployed.targets[s.target].device.site) for s in deployed.streams]
        self.detours = {s: detours(scenario, *ends) for s, ends in zip(deployed.streams, sites, strict=True)}
        for pool, drafts in zip(deployed.drafts, twin.drafts, strict=True):
            per_copy = pool.count // scenario.site(pool.device.site).count
            for i, device in enumerate(drafts):
                device.away = outages(scenario, pool.device.name, i % per_copy)
                device.slow = slow_devices(scenario, pool.device.name, i % per_copy)
        happenings = []
        for pool, replicas in zip(deployed.targets, twin.replicas, strict=True):
            for i, replica in enumerate(replicas):
                replica.away = outages(scenario, pool.device.name, i)
                replica.slow = slow_devices(scenario, pool.device.name, i)
                for spell in replica.away:
                    happenings.append((spell.from_s * 1000.0, lambda replica=replica: self.fails(replica)))
                    happenings.append((spell.until_s * 1000.0, lambda replica=replica: self.is_back(replica)))
        for stream in deployed.streams:
            for detour in self.detours[stream]:
                if detour.ways is None and detour.hold_until_s < detour.until_s:
                    end_ms = detour.hold_until_s * 1000.0
                    happenings.append((end_ms, lambda stream=stream: self.hold_ends(stream)))
        for drafts, queued in zip(twin.drafts, twin.drafting.queued, strict=True):
            for device in drafts if queued else ():
                happenings += [
                    (spell.from_s * 1000.0, lambda device=device: twin.drafting.fails(device)) for spell in device.away
                ]
        for at_ms, action in sorted(happenings, key=lambda happening: happening[0]):
            twin.at(at_ms, action)

    # The network

    def sets_out(self, hop: Hop, now_ms: float) -> float:
        """Now, or when the cut is over."""
        for spell in self.cuts[hop.link]:
            if holds(spell, now_ms):
                return spell.until_s * 1000.0
        return now_ms

    def detour(self, stream: Stream, now_ms: float) -> Detour | None:
        return next((detour for detour in self.detours[stream] if holds(detour, now_ms)), None)

    def is_cut_off(self, stream: Stream) -> Detour | None:
        detour = self.detour(stream, self.twin.now)
        return detour if detour is not None and detour.ways is None else None

    def way(self, session: Session, leaves_ms: float, up: bool) -> tuple[Hop, ...]:
        stream = session.stream
        detour = self.detour(stream, leaves_ms)
        if detour is not None and detour.ways is not None:
            session.fate |= DETOURED
            return detour.ways[0 if up else 1]
        if detour is not None:
            session.fate |= STALLED
        return stream.up if up else stream.down

    # The draft's side

    def goes_alone(self, session: Session) -> bool:
        detour = self.detour(session.stream, self.twin.now)
        return self.lacks_a_device(session) or (detour is not None and detour.ways is not None)

    def can_draft_again(self, session: Session) -> bool:
        return self.detour(session.stream, self.twin.now) is None and not self.lacks_a_device(session)

    def lacks_a_device(self, session: Session) -> bool:
        return any(is_away(device.away, self.twin.now) for device in session.devices)

    def asks_target(self, session: Session, leaves_ms: float) -> None:
        session.mode, session.window = "target_only", 0
        session.fate |= ALONE
        self.twin.send_up(session, leaves_ms, 4.0, session.rounds + 1, partial(self.returns, session))

    def forgot(self, session: Session) -> bool:
        """Whether its draft device was away since it last worked for the session."""
        return any(session.seen_ms < spell.from_s * 1000.0 < self.twin.now for spell in session.devices[0].away)

    # The target's side

    def goes_on(self, session: Session) -> None:
        """After its tokens were sent."""
        cut = self.is_cut_off(session.stream)
        streams = session.mode in ("target_only", "fused")
        if cut is not None and streams and session.replica in self.twin.engines:
            self.twin.engines[session.replica].pauses(session)
        if cut is not None and self.twin.now >= cut.hold_until_s * 1000.0:
            self.let_go(session)
            self.twin.admit(session.replica)
        if session.mode in ("distributed", "pipelined"):
            return
        if cut is None:
            self.twin.joins(session)
        else:
            session.fate |= STALLED
            self.twin.at(cut.until_s * 1000.0, lambda: self.resumes(session))

    def resumes(self, session: Session) -> None:
        cut = self.is_cut_off(session.stream)
        if cut is not None:
            self.twin.at(cut.until_s * 1000.0, lambda: self.resumes(session))
        else:
            self.returns(session)

    def returns(self, session: Session) -> None:
        if session.kv == "lost":
            self.twin.prompt_arrives(session)
        else:
            self.twin.joins(session)

    def let_go(self, session: Session) -> None:
        if session.kv == "held":
            session.kv = "lost"
            if session.replica in self.twin.engines:
                self.twin.engines[session.replica].lets_go(session)
            else:
                session.replica.reserved -= session.prompt + session.output

    def hold_ends(self, stream: Stream) -> None:
        replicas = self.twin.replicas[stream.target]
        present = set().union(*(self.present(replica) for replica in replicas))
        for session in self.twin.sessions:
            if session.stream is stream and 0 < session.emitted < session.output and id(session) not in present:
                self.let_go(session)
        for replica in replicas:
            self.twin.admit(replica)

    def present(self, replica: Replica) -> set[int]:
        """Whose job is at a replica."""
        if replica in self.twin.engines:
            return self.twin.engines[replica].present
        return {id(s) for s in (*replica.batch, *replica.queue, *replica.memory)}

    def fails(self, replica: Replica) -> None:
        present = self.present(replica)
        if replica in self.twin.engines:
            self.twin.engines[replica].fails()
        mine = [s for s in self.twin.sessions if s.replica is replica and s.emitted < s.output]
        replica.down, replica.stepping, replica.reserved = True, False, 0
        replica.batch = []
        replica.queue.clear()
        replica.memory.clear()
        for session in mine:
            standing = [r for r in self.twin.replicas[replica.pool] if not r.down]
            if standing:
                self.twin.ledger.comes(replica, session, self.twin.now, -1)
                session.replica = min(standing, key=lambda r: r.live)
                self.twin.ledger.comes(session.replica, session, self.twin.now)
                session.fate |= MOVED
                replica.live -= 1
                session.replica.live += 1
            if session.emitted > 0:
                session.kv = "lost"
            if id(session) in present:
                self.twin.prompt_arrives(session)

    def is_back(self, replica: Replica) -> None:
        replica.down = False
        self.twin.admit(replica)
