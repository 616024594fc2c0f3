"""What moves and what serves: sessions, draft devices, target replicas."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsd_plan.domain.deployed import Stream
from dsd_plan.domain.faults import Spell


@dataclass(eq=False)
class Session:
    number: int
    key: int
    stream: Stream
    started_ms: float
    prompt: int
    prefill: int
    output: int
    replica: Replica
    devices: list[Draft]
    user: int | None
    mode: str = ""
    place: int = 0
    copy: int = 0
    """Of its site."""
    reached: dict[int, float] = field(default_factory=dict)
    """When the last message down came to each thin hop."""
    window: int = 0
    hit: bool = False
    ahead: Job | None = None
    ahead_window: int = 0
    confirmed: bool = False
    ended: bool = False
    read: bool = False
    """When its last token arrives is known."""
    joined_ms: float = 0.0
    """When its job came to the target's queue."""
    took_ms: dict[Draft, float] = field(default_factory=dict)
    """Of the window in flight: how long it took each device."""
    seen: dict[Draft, float] = field(default_factory=dict)
    """When each of its devices with a queue was last given a job of it."""
    waits: int = 0
    decided: int = 0
    """The policy's window in force; `smoothed` its share of accepted proposals."""
    smoothed: float | None = None
    state: int = 0
    """Of a law whose rounds depend on one another."""
    told: tuple[int, int] = (0, 0)
    """Accepted, proposed: of the last round."""
    talk: object = None
    """Its conversation, where earlier turns are looked for."""
    emitted: int = 0
    computed: int = 0
    """Of a prefill that is done in chunks."""
    rounds: int = 0
    accepted: int = 0
    fate: int = 0
    """What faults did to it: 1 stalled, 2 took a detour, 4 went on without its draft, 8 moved, 16 prefilled again."""
    alone: int = 0
    kv: str = "held"
    """"lost": to be made again, once there is memory; "refills": a prefill of it is due."""
    seen_ms: float = -1.0
    """When its draft device last took work of it."""
    arrivals_ms: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @property
    def priority(self) -> int:
        return self.stream.workload.priority

    @property
    def is_fresh(self) -> bool:
        return self.emitted == 0 or self.kv == "refills"

    @property
    def context(self) -> int:
        return self.prompt + self.emitted


@dataclass(eq=False)
class Draft:
    """A draft device. In a pool where jobs are queued it takes a batch at a time; else their ends are known at once."""

    free_ms: float = 0.0
    busy_ms: float = 0.0
    live: int = 0
    delay_ms: float = 0.0
    away: tuple[Spell, ...] = ()
    slow: tuple[Spell, ...] = ()
    jobs: list[tuple[float, float]] = field(default_factory=list)
    """(begins, ends)."""
    queue: list[Job] = field(default_factory=list)
    batch: list[Job] = field(default_factory=list)
    began_ms: float = 0.0
    batches: int = 0


@dataclass(eq=False)
class Job:
    """A queued draft job: a prefill of `context` tokens, or `steps` steps of `rows` rows."""

    kind: str
    session: Session
    context: int
    steps: int = 0
    rows: int = 0
    done: bool = False
    dropped: bool = False
    lost: bool = False
    """With its device."""
    spent_ms: float = 0.0
    device: Draft | None = None
    came_ms: float = 0.0
    took_ms: float = 0.0


@dataclass(eq=False)
class Lane:
    """One direction of a thin link, at one copy of its site."""

    free_ms: float = 0.0
    busy_ms: float = 0.0
    bytes: float = 0.0


@dataclass(eq=False)
class Replica:
    pool: int
    live: int = 0
    delay_ms: float = 0.0
    queue: list[Session] = field(default_factory=list)
    memory: list[Session] = field(default_factory=list)
    reserved: int = 0
    stepping: bool = False
    batch: list[Session] = field(default_factory=list)
    down: bool = False
    away: tuple[Spell, ...] = ()
    slow: tuple[Spell, ...] = ()
    iterations: list[tuple[float, float, float, int]] = field(default_factory=list)
    """(begins, draft part, step, jobs)."""
    drafted_ms: float = 0.0
    stepped_ms: float = 0.0
    """In all iterations so far."""

    def iterates(self, now_ms: float, drafts_ms: float, steps_ms: float, jobs: int) -> None:
        self.iterations.append((now_ms, drafts_ms, steps_ms, jobs))
        self.drafted_ms += drafts_ms
        self.stepped_ms += steps_ms


def insert(line: list, one: Session, back: bool = False, session=lambda item: item) -> None:
    """Behind all of its priority and above; one that comes `back` before those of its own."""
    ahead = [item for item in line if session(item).priority > session(one).priority - (not back)]
    line.insert(len(ahead), one)
