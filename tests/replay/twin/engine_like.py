"""The twin's engine-like server: one object a replica, plain lists for those that run and those that wait."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from typing import Any

from dsd_plan.domain.deployed import TargetPool
from dsd_plan.domain.step_time import decode_ms, engine_step_ms, prefill_ms
from tests.replay.twin.faults import REFILLED, fails_next_ms, slowness
from tests.replay.twin.ledger import Member
from tests.replay.twin.parts import Replica, Session, insert
from tests.replay.twin.tiring import freshness


@dataclass(eq=False)
class Seat:
    session: Session
    computed: int = 0
    held: int = 0
    has_job: bool = True
    proposals: int = 0
    in_flight: int = 0
    emits: bool = False
    abandoned: tuple[int, int, int] | None = None
    """Blocks, full blocks, and how many blocks had been given back before them, when it was preempted."""

    @property
    def whole(self) -> int:
        return self.session.prompt + self.session.emitted + self.proposals

    @property
    def stays(self) -> bool:
        """What it wants next is known to the target alone."""
        return self.session.mode in ("target_only", "fused")


class EngineLike:
    def __init__(self, world: Any, replica: Replica, pool: TargetPool) -> None:
        assert pool.engine is not None
        self.world, self.replica, self.pool, self.engine = world, replica, pool, pool.engine
        self.free = inf if self.engine.blocks is None else self.engine.blocks
        self.given, self.taken = (2**40 if self.engine.blocks is None else self.engine.blocks), 0
        self.running: list[Seat] = []
        self.waiting: list[Seat] = []
        self.seats: dict[Session, Seat] = {}
        self.planned: list[tuple[Seat, int]] = []
        self.preemptions = 0
        self.members: list[Seat] = []
        """Of the step in flight."""

    # What happens to a session

    def prompt_arrives(self, session: Session) -> None:
        before, self.seats[session] = self.seats.get(session), Seat(session)
        if session.kv == "lost":
            session.kv = "held"
            session.fate |= REFILLED
            self.seats[session].proposals = self.round_of(session)
            self.seats[session].abandoned = before.abandoned if before is not None else None
        self.insert(self.waiting, self.seats[session])

    def has_job(self, session: Session) -> None:
        seat = self.seats[session]
        seat.has_job, seat.proposals = True, self.round_of(session)
        if seat not in self.running and seat not in self.waiting:
            self.insert(self.waiting, seat, back=True)

    def ends(self, session: Session) -> None:
        seat = self.seats.pop(session)
        for places in (self.running, self.waiting):
            if seat in places:
                places.remove(seat)
        if session.talk is not None:
            full = (session.context - 1) // self.engine.block_tokens
            left = (seat.held, full, self.given) if seat.held > 0 else seat.abandoned or (0, 0, 0)
            self.world.last_turns[session.talk] = self.replica, session.context, left
        self.hold(seat, 0)
        self.planned = [(other, takes) for other, takes in self.planned if other is not seat]

    @staticmethod
    def insert(line: list[Seat], seat: Seat, back: bool = False) -> None:
        insert(line, seat, back, lambda other: other.session)

    def round_of(self, session: Session) -> int:
        if session.mode == "target_only":
            return 0
        return session.stream.assignment.candidates * session.window

    # Faults

    @property
    def present(self) -> set[int]:
        """Whose job is here."""
        return {id(s.session) for s in (*self.running, *self.waiting, *self.members) if s.has_job}

    def pauses(self, session: Session) -> None:
        """Against what was planned, it has no job now."""
        seat = self.seats[session]
        self.planned = [(other, takes) for other, takes in self.planned if other is not seat]
        if seat in self.waiting:
            self.waiting.remove(seat)

    def lets_go(self, session: Session) -> None:
        seat = self.seats[session]
        for places in (self.running, self.waiting):
            if seat in places:
                places.remove(seat)
        if seat.held > 0:
            seat.abandoned = seat.held, (session.context - 1) // self.engine.block_tokens, self.given
            self.hold(seat, 0)

    def fails(self) -> None:
        for places in (self.running, self.waiting, self.planned, self.members):
            places.clear()
        self.seats.clear()
        everything = 2**40 if self.engine.blocks is None else self.engine.blocks
        self.free = inf if self.engine.blocks is None else everything
        # As if each block had been taken and given back.
        self.taken += everything
        self.given = self.taken + everything

    # Steps

    def start(self) -> None:
        if self.replica.down:
            return
        if not self.planned and self.plan() and not self.planned:
            self.plan()
        if self.planned:
            self.begin()
            if self.engine.ahead:
                self.plan()

    def plan(self) -> bool:
        budget = self.pool.token_cap or inf
        preemptions = self.preemptions
        for seat in list(self.running):
            if seat not in self.running or budget == 0:
                continue
            takes = min(self.wants(seat), budget)
            if takes == 0:
                continue
            needed = max(self.blocks(seat.computed + seat.in_flight + takes), seat.held)
            while needed - seat.held > self.free and seat in self.running:
                self.preempt()
            if seat not in self.running:
                break
            self.hold(seat, needed)
            self.planned.append((seat, takes))
            budget -= takes
        if self.preemptions > preemptions:
            return True
        while self.waiting and budget > 0 and len(self.running) < self.engine.sequences:
            seat = self.waiting[0]
            if seat.in_flight or self.blocks(seat.whole) > self.free:
                break
            self.insert(self.running, self.waiting.pop(0))
            if self.engine.prefix_cache:
                cached = seat.session.prompt - seat.session.prefill if seat.session.emitted == 0 else 0
                seat.computed = max(self.still_cached(seat), cached, self.earlier_turns(seat.session))
            takes = min(seat.whole - seat.computed, budget)
            self.hold(seat, self.blocks(seat.computed + takes))
            self.planned.append((seat, takes))
            budget -= takes
        return False

    def wants(self, seat: Seat) -> int:
        session = seat.session
        if seat.emits:
            ends = session.emitted + 1 >= session.output
            return 0 if ends or not seat.stays else 1 + self.round_of(session)
        return seat.whole - seat.computed - seat.in_flight if seat.has_job else 0

    def preempt(self) -> None:
        seat = self.running.pop()
        full = (seat.computed + seat.in_flight) // self.engine.block_tokens
        seat.abandoned = seat.held, full, self.given
        self.hold(seat, 0)
        seat.computed = 0
        self.preemptions += 1
        if seat.has_job and (seat.stays or not seat.emits):
            self.insert(self.waiting, seat, back=True)

    def still_cached(self, seat: Seat) -> int:
        if seat.abandoned is None:
            return 0
        held, full, given = seat.abandoned
        seat.abandoned = None
        block = self.engine.block_tokens
        return max(min(held - max(self.taken - given, 0), full, (seat.whole - 1) // block), 0) * block

    def earlier_turns(self, session: Session) -> int:
        if session.emitted > 0 or session.talk not in self.world.last_turns:
            return 0
        replica, tokens, (held, full, given) = self.world.last_turns.pop(session.talk)
        if replica is not self.replica or tokens >= session.prompt:
            return 0
        return max(min(held - max(self.taken - given, 0), full), 0) * self.engine.block_tokens

    def begin(self) -> None:
        members, self.planned = self.planned, []
        decodes, chunks = [], []
        for seat, takes in members:
            seat.in_flight = takes
            seat.emits = seat.computed + takes == seat.whole
            decoding = seat.computed > 0 and seat.computed >= seat.session.context - 1
            (decodes if decoding else chunks).append((seat, takes))
        new = sum(takes for _, takes in decodes)
        contexts = sum(seat.session.context for seat, _ in decodes)
        step = engine_step_ms(
            self.pool.surface,
            float(len(decodes)),
            new / max(len(decodes), 1),
            contexts / max(len(decodes), 1),
            float(len(chunks)),
            float(sum(takes for _, takes in chunks)),
            float(sum((seat.computed + takes) ** 2 - seat.computed**2 for seat, takes in chunks)),
        )
        drafted = self.drafted(
            [seat.session for seat, _ in decodes if seat.session.emitted > 0],
            [(seat.session, takes) for seat, takes in chunks],
        )
        world = self.world
        worked_ms = self.replica.drafted_ms + self.replica.stepped_ms
        step *= freshness(self.pool.profile, worked_ms)
        if self.pool.fused_profile is not None:
            drafted *= freshness(self.pool.fused_profile, worked_ms)
        factor, fails_ms = slowness(self.replica.slow, world.now), fails_next_ms(self.replica.away, world.now)
        drafted, step = float(drafted) * factor, float(step) * factor
        self.replica.stepping = True
        self.members = [seat for seat, _ in members]
        if world.now + (drafted + step) < fails_ms:
            world.at(float(world.now + (drafted + step)), self.step_ends)
        else:
            drafted = min(drafted, fails_ms - world.now)
            step = fails_ms - world.now - drafted
        self.replica.iterates(world.now, float(drafted), float(step), len(members))
        who = [self.member(seat, takes, any(seat is other for other, _ in chunks)) for seat, takes in members]
        world.ledger.iterates(self.replica, self.pool, world.now, float(drafted), float(step), who)

    @staticmethod
    def member(seat: Seat, takes: int, is_chunk: bool) -> Member:
        session = seat.session
        drafts = session.stream.mode == "fused" and session.emitted > 0 and not is_chunk
        rows = session.stream.assignment.candidates if drafts else 0
        return Member(session, takes, session.context, seat.computed if is_chunk else None, rows)

    def drafted(self, decodes: list[Session], chunks: list[tuple[Session, int]]) -> float:
        fused = [s for s in decodes if s.stream.mode == "fused"]
        fresh = [takes for s, takes in chunks if s.stream.mode == "fused"]
        total = 0.0
        if fused:
            rows = [s.context for s in fused for _ in range(s.stream.assignment.candidates)]
            longest = max(s.window for s in fused)
            total = longest * decode_ms(self.pool.fused_surface, float(len(rows)), 1.0, sum(rows) / len(rows))
            mixed = self.pool.fused_surface.law[5] * float(len(rows)) * (sum(rows) / len(rows))
        if fresh:
            added = prefill_ms(self.pool.fused_surface, float(len(fresh)), sum(fresh) / len(fresh))
            total += max(added - self.pool.fused_surface.law[0], 0.0) + mixed if fused else added
        return total

    def step_ends(self) -> None:
        self.replica.stepping = False
        members, self.members = self.members, []
        for seat in members:
            if seat in self.running:
                seat.computed += seat.in_flight
            seat.in_flight = 0
            if not seat.emits:
                continue
            seat.emits = seat.has_job = False
            self.world.emit(seat.session)
            if seat in self.running:
                seat.computed = seat.session.context - 1
                ahead = sum(takes for other, takes in self.planned if other is seat)
                self.hold(seat, self.blocks(seat.computed + ahead))

    # Blocks

    def blocks(self, tokens: int) -> int:
        return ceil(tokens / self.engine.block_tokens)

    def hold(self, seat: Seat, blocks: int) -> None:
        more = blocks - seat.held
        self.taken += max(more, 0)
        self.given += max(-more, 0)
        self.free -= more
        seat.held = blocks
