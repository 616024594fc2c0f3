"""The rows that the kernel reads and writes: one C struct a stream, pool, replica, session, group of tokens.

Times are ms, sizes bytes, counts and indices 64-bit integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = Any
"""One row of a structured array as compiled code sees it; `World` is the row of WORLD."""
World = Any
Rows = NDArray[np.void]

MS_PER_S = 1000.0

TARGET_ONLY, FUSED, DISTRIBUTED, PIPELINED = range(4)
"""From DISTRIBUTED on the draft runs at the session's site, and each round crosses the network."""
MODES = {"target_only": TARGET_ONLY, "fused": FUSED, "distributed": DISTRIBUTED, "pipelined": PIPELINED}

JSQ, ROUND_ROBIN, RANDOM, POWER_OF_TWO, LEAST_DELAY, WEIGHTED = range(6)
ROUTINGS = {
    "jsq": JSQ,
    "round_robin": ROUND_ROBIN,
    "random": RANDOM,
    "power_of_two": POWER_OF_TWO,
    "least_expected_delay": LEAST_DELAY,
    "weighted": WEIGHTED,
}

POISSON, CLOSED, TRACE = range(3)

OPEN_REQUEST, USER_REQUEST, PROMPT_ARRIVES, JOB_ARRIVES, VERDICT_ARRIVES, ITERATION_ENDS = range(6)
UP_REACHES, DOWN_REACHES, BATCH_ENDS, JOB_DROPPED, RESUMES, HAPPENS = range(6, 12)
"""Kinds of event; `index` is a stream, a user, a session, a session, a session, a replica; a message reaches a thin
link: up, of a session; down, of a flight; a draft device's batch ends: both; a draft job; a stalled session goes on; a
happening."""

PREFILL, WINDOW, AHEAD = range(3)
"""What a draft job is: the prompt, a round's proposals, or a guess at the round after the one in flight."""

QUEUED, RUNNING, DRAFTED, DROPPED, LOST = range(5)
"""A draft job waits; is in a batch; is done (a guess whose verdict is out); is in a batch for nothing; lost with it."""

FORESEEN, VOID = 1, 2

NONE = -1
"""No session, no device, no user, no row."""


def _row(integers: str, reals: str, integer: str = "i8") -> np.dtype[np.void]:
    return np.dtype([(name, integer) for name in integers.split()] + [(name, "f8") for name in reals.split()])


EVENT = _row("turn index", "time_ms")
"""What happens when. `turn` is an order and, in its lowest KIND_BITS, the kind: the order counts schedulings, so that
events of one instant keep the order they were made in."""
KIND_BITS = 5

SPELL = _row("", "from_ms until_ms factor")
"""When something is cut, away, or slower by a factor."""
DETOUR = _row("up up_end down down_end open", "from_ms until_ms hold_ms")
"""When a stream's route is cut; the way that is left where `open`; until when memory is held where not."""
HAPPENING = _row("kind index", "at_ms")
"""What faults do at known instants, in order."""
REPLICA_FAILS, REPLICA_BACK, HOLD_ENDS, DEVICE_FAILS = range(4)
"""Kinds of happening; `index` is a replica, a replica, a detour's stream, a draft device whose jobs are queued."""

STALLED, DETOURED, ALONE, MOVED, REFILLED = (1 << bit for bit in range(5))
FATES = {
    "stalled": STALLED,
    "detoured": DETOURED,
    "without its draft": ALONE,
    "moved to another replica": MOVED,
    "prefilled again": REFILLED,
}
"""What faults did to a session, as bits: it waited for a cut link; took another way; went on as target_only; …"""
FATE_BITS = 8
KV_LOST, KV_REFILLS = 1, 2
"""Why a session's `again` is not 0: its KV must be made again, once memory is there; a prefill of it is due."""

KEY = np.dtype([("key", "u8")])
"""A stream's key, of which its requests' random numbers are made."""

STREAM = _row(
    "mode policy window requests target draft routing draft_routing priority"
    # candidate paths a round, draft devices a session
    " candidates tied"
    # its ranges of hops
    " up up_end down down_end"
    # lengths of its requests, unless a trace brings them: `row_count` rows of requests from `row` on
    " prompt output row row_count"
    # 1: time matters on its way (thin links, traces); copies of its site, draft devices in each
    " timed copies per_copy detour detour_end"
    # 1: a round's draft and way up may be computed when its verdict is sent (foresight.py)
    " foreseeable"
    # acceptance: rows of the cdf from `cdf` on, one for each guess; of a law with `states` as many a state, `stride`
    # apart, and the states' own cdfs: of the first one and, unless NONE, of the next one by the one before
    " cdf states stride first_state next_state"
    # or, where matches > 0, so many recorded matches from `match` on, or where played > 0, so many recorded rounds;
    # walked from one of the `recorded` starts that begin at `start`
    " match matches played_round played start recorded",
    # mean time between Poisson requests; mean think time; bytes of each message
    "gap_ms think_ms first_down proposal_up round_down rejected_down",
)
HOP = _row(
    # where bandwidth is limited: the first of its copies' lanes; where there is a trace: its rows; spells
    "lane copies trace trace_end cut cut_end slow slow_end",
    "mean_ms jitter_cv mbps loss rtt_ms trace_ms",
)
LANE = _row("", "free_ms busy_ms bytes")
"""One direction of a link of limited bandwidth, at one copy of its site: sends one message after the other."""
ROUND_TRIP = _row("", "at_ms rtt_ms")
"""A row of a link's trace; it begins again after its hop's `trace_ms`."""
TRAVEL = _row("copy first end hop kind turn here again", "payload sent_ms seen_ms")
"""What a session sends up, where time matters on the way.

`copy`: which copy of its site it belongs to; `here`: a mark of `faults.mark_present`; `seen_ms`: when its draft
device last worked for it; `again`: 0, KV_LOST or KV_REFILLS.
"""
FLIGHT = _row("session first end hop turn tokens last crosses next", "payload sent_ms")
"""A message on its way down that has not reached its last thin link."""
REACHED = _row("", "at_ms")
"""By session and hop: when its last message came there; none overtakes another of its session."""
REQUEST = _row("number prompt prefill output talk", "at_ms")
"""A recorded request: the `number`-th of its whole recording, by which it has its luck; `talk`: its conversation, NONE
where its earlier turns are not looked for."""
TALK = _row("replica tokens left left_full left_at", "")
"""A conversation: the `tokens` of its last turn, prompt and answer, and the blocks given back there, as of a SEAT."""
CUMULATIVE = _row("", "p")
"""P(accepted ≤ j)."""
MATCH = np.dtype([("hit", "u1")])
START = _row("place", "")
PLAYED = _row("proposed accepted", "")
"""A recorded round."""

SURFACE = _row(
    # where each axis and table begins among the numbers, and how long the axes are
    "decode_batch decode_new decode_context decode prefill_batch prefill_prompt prefill law"
    " batches news contexts prefills prompts laws"
    # how the device slows down while it works; no rows where it does not
    " sustained sustained_end",
    "",
)
SUSTAINED = _row("", "worked_ms share")
"""What is left of a device's initial speed when it has worked so long."""
NUMBER = _row("", "value")
"""Of the surfaces' axes, tables and laws."""
TARGET = _row(
    "first count batch_cap surface fused_surface turn"
    # an engine-like server: blocks of `block` tokens; `ahead`: the next step is planned while one is in flight
    " engine block blocks token_cap ahead prefix_cache"
    # a plain server: its iterations hold at most `token_cap` new tokens
    " capped"
    # 1: its streams differ in priority; jobs of like size go together
    " ranked like_sizes",
    "kv_tokens",
)
"""A pool: replicas[first : first + count]. `turn` counts the sessions that round robin has placed."""
DRAFT = _row("first count batch_cap surface turn queued learns", "")
"""A pool: devices[first : first + count].

`queued`: jobs stand in a queue, for some may be dropped or share a batch; else their ends are known at once. `learns`:
1 where a routing asks for the mean delay of its devices' jobs.
"""

REPLICA = _row(
    "target stepping woken live"
    # chains of sessions: jobs in the queue, prompts that wait for memory, members of the iteration in progress
    " head tail queued memory_head memory_tail memory_waits kv_tokens batch_head batch"
    # a member of the iteration whose prefill goes on in the next one
    " unfinished"
    # away; its iteration was lost; spells
    " down lost fails fails_end slow slow_end"
    # sums over all iterations begun
    " iterations jobs"
    # engine-like: chains of seats by order of admission, and of those that wait; members of the step in flight and of
    # the one that is planned
    " running_head running_tail running waiting_head waiting_tail blocks step_head plan_head plan_tail plan preempted"
    # blocks ever given back, those there at first among them, and ever taken: free ones are taken oldest first
    " given taken"
    # 1: a routing asks for the mean delay of its rounds
    " learns",
    "batch_draft_ms batch_step_ms ends_ms draft_ms step_ms running_ms delay_ms",
)
DEVICE = _row(
    "pool stepping woken head tail queued batch_head batch batches live foreseen fails fails_end slow slow_end",
    "free_ms busy_ms ends_ms job_ms up_ms began_ms delay_ms",
)
"""A draft device: when its last job ends, and how much work it has been given; spells.

Where jobs are queued: chains of jobs, as a replica's of sessions; `batches` counts those begun, `busy_ms` sums those
that have ended. Where they are not, `foreseen` − 1 is the session whose next job was computed before its verdict came,
or −1: it ends at `ends_ms`, takes `job_ms`, and `up_ms` on its way up.
"""
JOB = _row(
    "device stream session number part kind state steps rows context previous next",
    "spent_ms came_ms took_ms",
)
"""A draft device's job: steps × rows at a context, or a prefill; `number`: its session's.

On the `part`-th device of the session, which is NONE when the session has ended; `spent_ms`: its share of its batch;
from when it `came_ms` to its end it `took_ms`.
"""
WAKE = _row("server", "")
"""Idle replicas, or draft devices, to look at when the instant is over."""

WORK = _row(
    "requests new_tokens kv_tokens prompt_tokens prompt_squares draft_steps draft_kv_tokens jobs draft_jobs",
    "draft_ms wasted_ms draft_batches",
)
"""What a stream has asked of the target's replicas (draft_steps: fused), and `draft_ms` of the draft devices.

`wasted_ms` of it was for guesses thrown away; where jobs are queued there, `draft_jobs` shared `draft_batches`.
"""

USER = _row("stream number visits", "first_ms")
"""A closed user: the `number`-th of its stream, and when it asks first."""

SESSION = np.dtype(
    [
        ("key", "u8"),
        *_row(
            # `number` counts sessions from the first; rows are slots, which ended sessions leave to later ones
            "number stream mode replica device user prompt prefill output"
            " emitted window rounds accepted proposed rejected place next done"
            # under faults: what happened, and above FATE_BITS the rounds without its draft
            " fate"
            # of the last round, for the policy
            " last_accepted last_proposed batch queued"
            # FORESEEN, or VOID: what its event of a job's arrival is, if that was scheduled before the verdict came
            " ahead",
            "started_ms first_ms last_ms joined_ms wait_ms iteration_ms network_ms"
            # over its rounds
            " sum_draft_ms sum_up_ms sum_wait_ms sum_verify_ms sum_down_ms",
            integer="i4",  # half the memory: the live sessions must fit the processor's nearest cache
        ).descr,
    ]
)
SPECULATION = _row("hit ahead ahead_window next_window confirmed waits state decided", "smoothed")
"""What a session keeps beside its row, where its draft jobs are queued, or its window or acceptance has a memory.

hit: the last round was accepted whole, and the guess of the target's next token was right; `ahead`: the job that
drafts ahead, NONE without one, for a window of `ahead_window`; `next_window`: what the policy said last;
`confirmed`: the window ahead will be sent when it is done; `waits`: draft jobs that the round still waits for;
`state`: of the law by which this round's tokens are accepted; `decided` and `smoothed`: the policy's memory.
"""
POLICY = _row("smallest largest", "grow_above shrink_below smoothing")
"""A stream's parameters of its policy; no window is larger than `largest`."""
TIED = _row("device prefill", "took_ms since_ms seen_ms")
"""Draft devices of a session: `most_tied` rows a slot. Where jobs are queued `prefill` is its job, NONE when done.

`took_ms`: from when its part of the window in flight was asked for to its end; 0 without one; `since_ms`: as of a BILL;
`seen_ms`: under faults, when it was last given a job of the session.
"""
BILL = _row("", "edge_ms edge_idle_ms draft_ms step_ms idle_ms since_ms adds_ms draft_adds_ms")
"""A session's shares of its servers' time, where they are kept: of draft devices working, and idle; of its replica
drafting (fused), stepping, and idle.

`since_ms`: the replica's clock when the session came; `adds_ms`, `draft_adds_ms`: of its job, to the iteration.
"""
CLOCK = _row("", "idle_ms per_live_ms nobody_ms left_ms")
"""How long a server has stood idle: in all, for each session that was live there all the time, and with none there; how
long it worked for sessions that had ended."""
OUT, WAITS, RUNS, AWAY = range(4)
SEAT = _row(
    "state computed held job proposals takes plan_takes emits previous next member planned left left_full left_at talk",
    "",
)
"""A session at an engine-like server. `computed` tokens of its sequence are in the cache, in `held` blocks.

`job`: it has something to compute, with `proposals` to verify; it `takes` so many tokens in the step in flight, which
`emits` then or not, and `plan_takes` in the one planned. RUNS and WAITS seats form two chains; AWAY: preempted
while it had no job. What it `left` then, as the `left_at`-th block ever given back and those after, `left_full` of them
full, may still be in the cache. Of a plain server with a `token_cap`: `computed` tokens of a prefill; it `takes` more.
"""
GROUP = _row("session tokens", "arrival_ms gap_ms", integer="i4")
"""Tokens that reach a user together, of the session of this number; `gap_ms` since its group before, NaN at first."""
ROUND = _row(
    "session round replica device window accepted batch",
    "asked_ms sent_ms joined_ms began_ms drafted_ms ended_ms",
)
"""What made a group of tokens, where rounds are kept: parallel to GROUP; round 0 is the prefill.

Asked for (the request, or the verdict before), sent up by the draft, in the target's queue; then its iteration
began, had drafted (fused) and ended.
"""
SLOT = _row("slot", "")
"""A row of SESSION."""

TABLES: dict[str, np.dtype[np.void]] = {
    "heap": EVENT,
    "keys": KEY,
    "streams": STREAM,
    "hops": HOP,
    "requests": REQUEST,
    "talks": TALK,
    "cdf": CUMULATIVE,
    "match": MATCH,
    "starts": START,
    "played": PLAYED,
    "policies": POLICY,
    "surfaces": SURFACE,
    "numbers": NUMBER,
    "sustained": SUSTAINED,
    "targets": TARGET,
    "drafts": DRAFT,
    "replicas": REPLICA,
    "devices": DEVICE,
    "draft_jobs": JOB,
    "bills": BILL,
    "replica_clocks": CLOCK,
    "device_clocks": CLOCK,
    "woken": WAKE,
    "woken_devices": WAKE,
    "work": WORK,
    "users": USER,
    "sessions": SESSION,
    "speculations": SPECULATION,
    "tied": TIED,
    "seats": SEAT,
    "groups": GROUP,
    "rounds": ROUND,
    "lanes": LANE,
    "round_trips": ROUND_TRIP,
    "travels": TRAVEL,
    "flights": FLIGHT,
    "flight_rounds": ROUND,
    "reached": REACHED,
    "spells": SPELL,
    "detours": DETOUR,
    "happenings": HAPPENING,
    "ended": SLOT,
    "vacant": SLOT,
}

WORLD = _row(
    " ".join(TABLES)  # where each table begins
    + " stream_count user_count device_count most_sessions most_groups keep_rounds keep_bills"
    # slots never used begin at `fresh`; `vacancies` were used and left, `endings` have ended and are not yet read
    " slots fresh vacancies endings"
    " begun events scheduled started refused logged waking"
    # hops on the longest way down; flights: room, never used from `fresh_flight` on, left ones from `free_flight` on
    " stages most_flights flying fresh_flight free_flight"
    # 1: a fault concerns this plan
    " faulty happening_count"
    # stop for a mark before session number `mark_start` begins
    " mark_start"
    # draft jobs: rows never used begin at `fresh_job`, those left are a chain from `left_job`; `spare_jobs` in all.
    # one event makes at most `jobs_an_event`
    " fresh_job left_job spare_jobs jobs_an_event most_tied waking_devices most_events"
    # the sessions watched[first] ≤ i < watched_end must finish; `unfinished` of them are left, negative: none watched
    " watched watched_end unfinished"
    # one more than the stream whose policy chose a window that there is not, and that window
    " refused_stream refused_window",
    # the present instant; stop for a mark when a request comes at `mark_ms` or later
    "now_ms mark_ms",
)
