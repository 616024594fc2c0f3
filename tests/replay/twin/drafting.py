"""Draft devices: what they work on, for whom, and what becomes of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dsd_plan.domain.step_time import decode_ms, prefill_ms
from tests.replay.twin.faults import fails_next_ms, is_away, slowness
from tests.replay.twin.parts import Draft, Job, Session
from tests.replay.twin.routing import learn
from tests.replay.twin.tiring import freshness

if TYPE_CHECKING:
    from tests.replay.twin.world import Twin


class Drafting:
    """The draft's side of the twin."""

    def __init__(self, world: Twin) -> None:
        self.world = world
        self.wasted_ms: dict[object, float] = {}
        streams = world.deployed.streams
        self.queued = [
            pool.batch_cap > 1
            or any(
                s.draft == i and (s.mode == "pipelined" or s.assignment.draft_devices_per_session > 1) for s in streams
            )
            for i, pool in enumerate(world.deployed.drafts)
        ]

    def begin(self, session: Session) -> None:
        stream = session.stream
        while len(session.devices) < stream.assignment.draft_devices_per_session:
            session.devices.append(self.another(session))
        for device in session.devices:
            device.live += 1
            self.world.ledger.comes(device, session, self.world.now)
            if self.queued[stream.draft]:
                session.seen[device] = -1.0
                if not is_away(device.away, self.world.now):
                    session.seen[device] = self.world.now
                    device.queue.append(Job("prefill", session, session.prefill, device=device))
            else:
                pool = self.world.deployed.drafts[stream.draft]
                if not is_away(device.away, self.world.now):
                    session.seen_ms = self.world.now
                    fresh = freshness(pool.profile, device.busy_ms)
                    self.at_once(session, device, prefill_ms(pool.surface, 1.0, float(session.prefill)) * fresh)

    def another(self, session: Session) -> Draft:
        pool, part = session.stream.draft, len(session.devices)
        copies = self.world.deployed.scenario.site(session.stream.workload.site).count
        devices = self.world.drafts[pool]
        a_copy = len(devices) // copies
        here = devices.index(session.devices[0]) // a_copy * a_copy
        left = [device for device in devices[here : here + a_copy] if device not in session.devices]
        routing = session.stream.assignment.draft_routing or "random"
        return self.world.draft_routers[pool].choose(left, routing, session.key, part, self.world.now)

    def at_once(self, session: Session, device: Draft, job_ms: float) -> tuple[bool, float]:
        """(whether it is done, when it is, or when the device fails)."""
        begins_ms = max(device.free_ms, self.world.now)
        job_ms *= slowness(device.slow, begins_ms)
        fails_ms = fails_next_ms(device.away, self.world.now)
        done = begins_ms + job_ms <= fails_ms
        if not done:
            job_ms = fails_ms - begins_ms
        device.free_ms = begins_ms + job_ms if done else fails_ms
        device.jobs.append((begins_ms, device.free_ms))
        device.busy_ms += job_ms
        self.world.ledger.drafts(device, begins_ms, device.free_ms, [(session, job_ms)])
        return done, device.free_ms

    def verdict_arrives(self, session: Session) -> None:
        guess, stream = session.ahead, session.stream
        for device, took_ms in session.took_ms.items():
            learn(device, took_ms)
        session.took_ms = {}
        window = self.window_of(session)
        faults = self.world.faults
        if faults.goes_alone(session):
            if guess is not None:
                session.ahead = None
                self.drop(guess)
            faults.asks_target(session, self.world.now)
            return
        if guess is not None and session.hit and not self.forgotten(guess):
            session.window, session.confirmed = session.ahead_window, True
            if guess.done:
                session.took_ms = {guess.device: guess.took_ms}
                self.send(session)
            return
        if guess is not None:
            session.ahead = None
            self.drop(guess)
        session.window = window
        if window == 0:
            self.goes_up(session, self.world.now)
            return
        if self.queued[stream.draft]:
            parts = len(session.devices)
            session.waits = parts
            for part, device in enumerate(session.devices):
                rows = len(range(part, stream.assignment.candidates, parts))
                if self.away_since(device, session.seen[device]):
                    device.queue.append(Job("prefill", session, session.context, device=device))
                session.seen[device] = self.world.now
                device.queue.append(
                    Job("window", session, session.context, session.window, rows, device=device, came_ms=self.world.now)
                )
            return
        pool = self.world.deployed.drafts[stream.draft]
        fresh = freshness(pool.profile, session.devices[0].busy_ms)
        paths = float(stream.assignment.candidates)
        job = session.window * decode_ms(pool.surface, paths, 1.0, float(session.context)) * fresh
        if faults.forgot(session):
            job += prefill_ms(pool.surface, 1.0, float(session.context)) * fresh
        session.seen_ms = self.world.now
        done, at_ms = self.at_once(session, session.devices[0], job)
        if done:
            session.took_ms = {session.devices[0]: at_ms - self.world.now}
            self.goes_up(session, at_ms)
        else:
            faults.asks_target(session, at_ms)

    def window_of(self, session: Session) -> int:
        """Ask the policy, with what the session knows."""
        policy = session.stream.assignment.policy
        accepted, proposed = session.told
        if policy.kind == "threshold" and proposed > 0:
            share = accepted / proposed
            before = session.smoothed
            session.smoothed = share if before is None else before + policy.smoothing * (share - before)
            if session.smoothed > policy.grow_above:
                session.decided = min(session.decided + 1, session.stream.largest_window)
            elif session.smoothed < policy.shrink_below:
                session.decided = max(session.decided - 1, policy.smallest)
        return session.decided

    def send(self, session: Session) -> None:
        """A window is done: it goes up, and a pipelined draft goes on."""
        self.goes_up(session, self.world.now)
        if session.stream.mode == "pipelined":
            session.ahead_window, session.confirmed, session.ahead = session.decided, False, None
            if session.decided > 0:
                device = session.devices[0]
                context, steps = session.context + session.window, session.decided + 1
                session.ahead = Job("ahead", session, context, steps, 1, device=device, came_ms=self.world.now)
                device.queue.append(session.ahead)

    def goes_up(self, session: Session, drafted_ms: float) -> None:
        stream = session.stream
        payload = stream.messages.round_up / stream.window * session.window
        joins = partial(self.world.faults.returns, session)
        self.world.send_up(session, drafted_ms, payload, session.rounds + 1, joins)

    def start_idle(self) -> None:
        for index, devices in enumerate(self.world.drafts):
            for device in devices:
                if device.queue and not device.batch:
                    self.start(device, index)

    def start(self, device: Draft, index: int) -> None:
        pool = self.world.deployed.drafts[index]
        while device.queue and len(device.batch) < pool.batch_cap:
            mine = device.queue[0].session
            if any(job.kind == "prefill" and job.session is mine for job in device.batch):
                break
            device.batch.append(device.queue.pop(0))
        contexts = [job.context for job in device.batch for _ in range(job.rows)]
        prompts = [job.context for job in device.batch if job.kind == "prefill"]
        took = 0.0
        if contexts:
            longest = max(job.steps for job in device.batch)
            took = longest * decode_ms(pool.surface, float(len(contexts)), 1.0, sum(contexts) / len(contexts))
        if prompts:
            added = prefill_ms(pool.surface, float(len(prompts)), sum(prompts) / len(prompts))
            mixed = pool.surface.law[5] * float(len(contexts)) * (sum(contexts) / max(len(contexts), 1))
            took += max(added - pool.surface.law[0], 0.0) + mixed if contexts else added
        took *= freshness(pool.profile, device.busy_ms)
        took *= slowness(device.slow, self.world.now)
        device.began_ms = self.world.now
        device.batches += 1
        number = device.batches
        self.world.at(float(self.world.now + took), lambda: self.ends(device, number))

    def ends(self, device: Draft, number: int) -> None:
        if device.batches == number and device.batch:
            for job in self.settle(device):
                self.done(job)

    def settle(self, device: Draft) -> list[Job]:
        batch, device.batch = device.batch, []
        took = self.world.now - device.began_ms
        device.busy_ms += took
        charged = [(None if job.session.read else job.session, took / len(batch)) for job in batch]
        self.world.ledger.drafts(device, device.began_ms, self.world.now, charged)
        device.jobs.append((device.began_ms, self.world.now))
        for job in batch:
            job.spent_ms = took / len(batch)
            if job.dropped or job.lost:
                self.waste(job)
        return batch

    def away_since(self, device: Draft, since_ms: float) -> bool:
        return any(since_ms < spell.from_s * 1000.0 < self.world.now for spell in device.away)

    def forgotten(self, guess: Job) -> bool:
        return guess.done and self.away_since(guess.device, guess.came_ms + guess.took_ms)

    def fails(self, device: Draft) -> None:
        lost = [job for job in (*device.batch, *device.queue) if not job.dropped]
        device.queue = []
        for job in lost:
            job.lost = True
        if device.batch:
            self.settle(device)
        for job in lost:
            session = job.session
            if job.kind == "prefill" or session.read:
                continue
            if job.kind == "ahead":
                session.ahead = None
                if not session.confirmed:
                    continue
                session.confirmed = False
            else:
                session.took_ms = {}
                for other in session.devices:
                    if other is not device:
                        mine = [j for j in (*other.batch, *other.queue) if j.session is session and j.kind == "window"]
                        for part in mine:
                            if not part.dropped:
                                self.drop(part)
            self.world.faults.asks_target(session, self.world.now)

    def done(self, job: Job) -> None:
        job.done = True
        job.took_ms = self.world.now - job.came_ms
        session = job.session
        if job.kind == "window":
            session.took_ms[job.device] = job.took_ms
            session.waits -= 1
            if session.waits == 0:
                self.send(session)
        elif job is session.ahead and session.confirmed and not session.ended:
            session.took_ms = {job.device: job.took_ms}
            self.send(session)

    def drop(self, job: Job) -> None:
        device = job.device
        job.dropped = True
        if job.lost:
            return
        if job.done:
            self.waste(job)
        elif job in device.queue:
            device.queue.remove(job)
        elif all(other.dropped for other in device.batch):
            self.settle(device)

    def waste(self, job: Job) -> None:
        stream = job.session.stream
        self.wasted_ms[stream] = self.wasted_ms.get(stream, 0.0) + job.spent_ms

    def end(self, session: Session) -> None:
        session.ended = True
        for device in session.devices:
            device.live -= 1
            self.world.ledger.comes(device, session, self.world.now, -1)

    def drop_ahead(self, session: Session) -> None:
        guess = session.ahead
        if guess is not None:
            self.world.at(session.arrivals_ms[-1], lambda: self.drop(guess))
