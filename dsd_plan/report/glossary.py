"""Every term of the field that a page uses: one line each, with its formula. `docs/glossary.md` is made from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One term, as a page's popover and the glossary show it."""

    name: str
    definition: str
    formula: str = ""
    spellings: tuple[str, ...] = ()
    """Other words for it in running text."""
    everyday: bool = False
    """Too common a word to be marked in running text."""

    @property
    def slug(self) -> str:
        """Its name as part of an address."""
        kept = (letter if letter.isascii() and letter.isalnum() else "-" for letter in self.name.lower())
        return "".join(kept).strip("-")


@dataclass(frozen=True, slots=True)
class Chapter:
    """Terms that belong together."""

    title: str
    terms: tuple[Term, ...]


GLOSSARY: tuple[Chapter, ...] = (
    Chapter(
        "Who does what",
        (
            Term(
                "draft",
                "The small model that proposes tokens, or what it proposed.",
                spellings=("drafts", "drafted"),
                everyday=True,
            ),
            Term(
                "target",
                "The large model whose output users get; speculation never changes what it says.",
                everyday=True,
            ),
            Term(
                "round",
                "The draft proposes a window of tokens, the target checks them all in one step, and keeps those "
                "before the first miss and one of its own.",
                spellings=("rounds",),
            ),
            Term("window", "How many tokens the draft proposes in one round, written γ.", "γ ≥ 1", ("windows", "γ")),
            Term(
                "verify",
                "One step of the target over the γ proposed tokens and the one after them.",
                "new tokens of the step = γ + 1",
                ("verification",),
                everyday=True,
            ),
            Term("prefill", "The target's first step over the whole prompt; it emits the first token.", everyday=True),
            Term(
                "decode",
                "A step that adds tokens to a sequence whose prompt is already read.",
                spellings=("decoding",),
                everyday=True,
            ),
            Term(
                "iteration",
                "One step of a server over the batch of sequences it holds; a server plans the next when one ends.",
                spellings=("iterations",),
                everyday=True,
            ),
        ),
    ),
    Chapter(
        "Ways to serve",
        (
            Term(
                "target only",
                "Plain decoding: the target alone, one token an iteration, streamed to the user.",
                spellings=("target_only", "plain decoding"),
            ),
            Term("fused", "Draft and target share the target's device; the round trip is paid once a request."),
            Term("distributed", "The draft runs at the user's site, the target elsewhere: one round trip a round."),
            Term(
                "pipelined",
                "Distributed, and the draft goes on while its last window is verified; a wrong guess is thrown away.",
            ),
            Term(
                "edge alone",
                "The draft answers by itself; output is the draft's, not the target's.",
                spellings=("edge_only",),
            ),
        ),
    ),
    Chapter(
        "What users feel",
        (
            Term(
                "TTFT",
                "Time to first token: from the request's start at its site to the first token's arrival there.",
                "TTFT = t_first − t_request",
            ),
            Term(
                "TPOT",
                "Time per output token after the first, averaged over one request.",
                "TPOT = (t_last − t_first) / (output tokens − 1)",
            ),
            Term(
                "ITL",
                "Inter-token latency: the gaps between distinct arrivals, pooled over requests; "
                "a round's tokens arrive together.",
                "ITL = t_arrival,i − t_arrival,i−1",
            ),
            Term("E2E", "End to end: from the request's start to its last token.", "E2E = t_last − t_request"),
            Term("p95", "95 of 100 requests are at most this slow.", "P(X ≤ p95) = 0.95"),
            Term(
                "goodput",
                "Requests a second that met every latency budget of their workload.",
                "goodput = met all budgets / time",
            ),
            Term(
                "requests within budget",
                "Share of the requests that met every latency budget of their workload.",
                "met all budgets / requests",
                everyday=True,
            ),
            Term(
                "budget",
                "A limit that somebody promised: a latency, a share, a cost, an energy.",
                spellings=("budgets",),
                everyday=True,
            ),
        ),
    ),
    Chapter(
        "Acceptance",
        (
            Term("pair", "A draft and the target it proposes for.", everyday=True),
            Term(
                "argmax proposal",
                "The draft proposes its likeliest token, the target samples its own and accepts only the same one.",
                "P(accepted) = p_target(draft's likeliest token)",
            ),
            Term(
                "match",
                "The draft's proposal at one token equals the token the target emits there.",
                "match ∈ {0, 1}",
                everyday=True,
            ),
            Term("acceptance rate", "Share of the proposed tokens that the target kept.", "accepted / proposed"),
            Term(
                "survival",
                "Chance that the first i proposed tokens of a round are all accepted.",
                "s_i = P(first i accepted)",
            ),
            Term(
                "tokens a round",
                "Tokens a user gets from one round, after the last round's surplus is cut.",
                "(output tokens − 1) / rounds; without the cut 1 + Σ_{i≤γ} s_i",
                ("tokens per round",),
            ),
            Term(
                "temperature",
                "How freely the target samples its next token: 1 as trained, 0 always the likeliest.",
                "p_i ∝ exp(logit_i / temperature)",
                everyday=True,
            ),
        ),
    ),
    Chapter(
        "Network",
        (
            Term(
                "RTT",
                "Round-trip time: a message there and its answer back, without the work between.",
                "RTT = up + down",
                ("round trip",),
            ),
            Term(
                "jitter",
                "How much a one-way delay varies around its mean.",
                "delay = mean · (1 + cv · (E − 1)), E ~ Exp(1)",
                everyday=True,
            ),
            Term("bytes a token", "Bytes sent in both directions for one token that a user gets."),
        ),
    ),
    Chapter(
        "Load",
        (
            Term(
                "load",
                "Offered requests, as a multiple of today's.",
                "load = offered rate / today's rate",
                everyday=True,
            ),
            Term(
                "saturation",
                "Offered work over the work possible at full batches; nothing is stable at 1 or above.",
                "σ = Σ λ_k (rounds · w_verify + w_prefill) + (step / batch cap) · jobs a second",
            ),
            Term("knee", "The load at which saturation reaches 1 and waiting grows without bound.", "σ(knee) = 1"),
            Term(
                "busy",
                "Share of time a device is stepping; a batching server is busy long before it is full.",
                "stepping time / time",
                everyday=True,
            ),
            Term(
                "steady state", "Waiting has settled; a run that has not settled has no mean to report.", everyday=True
            ),
            Term("replica", "One device of a type, a server of its own.", spellings=("replicas",), everyday=True),
            Term("batch", "Sequences served together in one iteration.", spellings=("batches",), everyday=True),
            Term("JSQ", "Join the shortest queue: a new session goes to the replica with the fewest live sessions."),
        ),
    ),
    Chapter(
        "How a number is known",
        (
            Term("measured", "Read from a clock on the real part, at this very point.", "shown as ●", everyday=True),
            Term("interpolated", "Between measured points.", "shown as ◐", everyday=True),
            Term("extrapolated", "Beyond the measured points, by the law fitted to them.", "shown as ○", everyday=True),
            Term("declared", "Somebody wrote the number down; nobody measured it here.", "shown as ◇", everyday=True),
            Term("profile", "Measured step times of one model on one device.", spellings=("profiles",), everyday=True),
            Term(
                "fit error",
                "Mean error of the fitted step law on points left out of the fit.",
                "mean |predicted / measured − 1|",
            ),
            Term(
                "drift", "How far the same point moved between the start and the end of a measurement.", everyday=True
            ),
            Term("contention", "Another program used the machine while it was being measured.", everyday=True),
        ),
    ),
    Chapter(
        "Checking and choosing",
        (
            Term("model", "The analytic prediction, from formulas alone.", everyday=True),
            Term(
                "replay",
                "The event-by-event simulation; it shares no method with the model.",
                spellings=("replayed", "replayer"),
                everyday=True,
            ),
            Term(
                "interval", "Where the replay's mean lies with 95 % confidence, over independent runs.", everyday=True
            ),
            Term(
                "relative error",
                "How far the model is from what was observed.",
                "predicted / observed − 1",
                everyday=True,
            ),
            Term(
                "agrees",
                "The observed interval lies inside the tolerance around the prediction; outside it disagrees, "
                "across its edge it is undecided.",
                "tolerance: 5 % for means, 10 % for p95 and p99, unless asked otherwise",
                ("disagrees",),
                everyday=True,
            ),
            Term(
                "margin",
                "By how much a mode beats the best other one.",
                "TPOT of the best other / TPOT of this − 1",
                everyday=True,
            ),
            Term(
                "tipping point",
                "The value of one input at which the decision changes: windows and device counts are chosen anew at "
                "each value, all other inputs are held.",
                spellings=("tipping points",),
            ),
            Term(
                "optimality gap",
                "How far the chosen plan may be from the best possible one, within the scope of the bound.",
                "objective / bound − 1",
            ),
            Term("equivalent plans", "Plans that the data cannot tell from the best; the simplest of them is chosen."),
        ),
    ),
    Chapter(
        "Cost and energy",
        (
            Term(
                "energy a token",
                "Energy of all deployed devices for one token that a user gets; unknown where any power is unknown.",
                "power / tokens a second",
                ("energy per token",),
            ),
            Term(
                "cost an hour",
                "Price of every deployed replica for an hour, in the scenario's own currency.",
                everyday=True,
            ),
            Term(
                "cost a million tokens",
                "Price of a million tokens that users get.",
                "cost an hour / tokens an hour · 10⁶",
                everyday=True,
            ),
        ),
    ),
)

TERMS: tuple[Term, ...] = tuple(term for chapter in GLOSSARY for term in chapter.terms)


GLOSSARY_NOTE = "Each term once, with its formula, in the words of a report's popovers."


def glossary_markdown() -> str:
    """The text of `docs/glossary.md`."""
    lines = ["# Glossary", "", GLOSSARY_NOTE]
    for chapter in GLOSSARY:
        lines += ["", f"## {chapter.title}", ""]
        for term in chapter.terms:
            formula = f" `{term.formula}`" if term.formula else ""
            also = f" (also: {', '.join(term.spellings)})" if term.spellings else ""
            lines.append(f"- **{term.name}**{also}: {term.definition}{formula}")
    return "\n".join(lines) + "\n"
