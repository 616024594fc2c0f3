"""Search, replay the best, correct the model by what was seen, and search again until the replay agrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study_decision import Backcast
from dsd_plan.optimize.choices.budgets import MANY_WORKLOADS, Reading, Together
from dsd_plan.optimize.choices.candidates import AnySpace, Space, WideSpace
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import Evaluator, Lens, reading_of
from dsd_plan.optimize.choices.many import given_the_doubt, lesson_of
from dsd_plan.optimize.choices.objective import Judge, Judged, spelling
from dsd_plan.optimize.confirmation.closer import Look, LooksCloser, ReplaysAtLoad
from dsd_plan.optimize.confirmation.observation import Observation, Observe
from dsd_plan.optimize.confirmation.together import Key, looked_at, standing_words, together
from dsd_plan.optimize.search.search import Found, search

MOST_REPLAYS = 8
"""Plans of one space that are replayed before the search gives up on it."""
MOST_REPLAYS_OF_MANY = 5
"""The same where there are many workloads: one plan's replay tells of each of them."""
MARGIN_OF_MANY = 0.01
"""Share by which budgets of many workloads are tightened after each replay in which one was broken."""
GROSS_ERROR = 0.10
"""Error of a budgeted quantity above which the model is corrected and the search repeated, even if budgets hold."""
NEAR_MISS = 0.06
"""Share by which a cheaper plan may break latency budgets under the model and still be worth a replay."""


@dataclass(frozen=True, slots=True, eq=False)
class Confirmed:
    """A plan that was predicted and replayed."""

    judged: Judged
    """As the replay sees it."""
    predicted: Performance
    observed: Observation
    found: Found | None = None
    """The search that led to it; None where it was looked at for another reason."""
    together: Mapping[Key, Together] = field(default_factory=dict)
    """Of many workloads: what model and replay together say of each budget, by which it is judged."""

    @property
    def choice(self) -> Choice:
        """What the plan says."""
        return self.judged.choice


class Confirmation:
    """Remembers what was observed, so that every later search in the same scenario knows it."""

    def __init__(
        self, evaluator: Evaluator, observe: Observe, tell: Callable[[str], None], backcast: Backcast | None = None
    ) -> None:
        self.evaluator = evaluator
        self.backcast = backcast
        self.observed: dict[Choice, Observation] = {}
        self._observe = observe
        self.tell = tell
        self._readings: dict[Choice, Reading] = {}
        self._factors: dict[tuple[str, str, str], float] = {}
        self._unsteady: dict[str, float] = {}
        self._many = len(evaluator.scenario.workloads) >= MANY_WORKLOADS
        self._together: dict[Choice, dict[Key, Together]] = {}
        self._looks: dict[Choice, Look | None] = {}

    @property
    def lens(self) -> Lens:
        """The model as corrected so far."""
        return Lens(dict(self._factors), dict(self._readings), dict(self._unsteady))

    def judge(self, choice: Choice) -> Judged:
        """A choice as it looks by now."""
        return Judge(self.evaluator, self.lens).judge(choice)

    def observe(self, choice: Choice) -> Observation:
        """Replay a choice, once."""
        if choice not in self.observed:
            trial = self.evaluator.trial(choice)
            self.observed[choice] = self._observe(trial.plan)
            self._read(choice)
        return self.observed[choice]

    def _read(self, choice: Choice) -> None:
        """What the replay says of the choice, of many workloads together with the model."""
        limits = self.evaluator.limits
        pooled = self.observed[choice].pooled
        seen: dict[Key, float | None] = dict(reading_of(pooled, limits))
        if self._many:
            runs = [reading_of(run, limits) for run in self.observed[choice].runs]
            look = self._looks.get(choice)
            if look is not None:
                seen, runs = looked_at(seen, runs, look.observation, limits)
            lengths = {} if look is None else look.lengths
            expected = self.evaluator.trial(choice).reading
            found = together(choice, expected, seen, runs, limits, lengths) if pooled.steady else {}
            self._together[choice] = found
            seen = dict(given_the_doubt(seen, pooled, limits))
            seen.update({key: one.value.point for key, one in found.items()})
        self._readings[choice] = seen

    def _look_closer(self, name: str, choice: Choice) -> None:
        """Replay those parts for longer whose budgets may as well be kept as broken; not where others are broken."""
        found = self._together.get(choice, {})
        hanging = frozenset(scope for (scope, _), one in found.items() if one.undecided)
        if not hanging or choice in self._looks or not isinstance(self._observe, LooksCloser):
            return
        reading = self._readings[choice]
        for limit in self.evaluator.limits:
            key = (limit.scope, limit.quantity)
            if limit.excess(reading.get(key)) > 0.0 and not (key in found and found[key].undecided):
                return
        plan = self.evaluator.trial(choice).plan
        look = self._looks[choice] = self._observe.closer(plan, hanging, self.observed[choice].pooled)
        if look is not None:
            self._read(choice)
            again = f"{len(look.lengths)} device type{'' if len(look.lengths) == 1 else 's'} replayed for longer"
            self.tell(f"{name}: {standing_words(found)}; {again}: {standing_words(self._together[choice])}")

    def best(
        self, space: AnySpace, name: str, seeds: Sequence[Choice] = (), most_replays: int = MOST_REPLAYS
    ) -> Confirmed | None:
        """The best plan of `space` that keeps every budget in the replay; None where there is none.

        `seeds`: choices of the space that are known to be good.
        """
        most = MOST_REPLAYS_OF_MANY if isinstance(space, WideSpace) else most_replays
        hidden: Confirmed | None = None
        for broken in range(most):
            # Of a thousand budgets planned to their limits some break in every replay, each time others.
            tighter = broken * MARGIN_OF_MANY if isinstance(space, WideSpace) else 0.0
            found = search(Judge(self.evaluator, replace(self.lens, slack=-tighter)), space, seeds)
            if found.best is None:
                near = self._nearly_kept(space)
                if near is None:
                    return hidden
                plan = spelling(near.choice, self.evaluator.scenario)
                miss = f"{plan} misses one narrowly there: replaying it"
                self.tell(f"{name}: no plan keeps every budget under the model; {miss}")
                self._accepts(name, near.choice)
                if self.judge(near.choice).kept:
                    hidden = self._confirmed(replace(found, best=self.judge(near.choice)))
                    seeds = (*seeds, near.choice)
                continue
            choice = found.best.choice
            if choice in self.observed:
                return self._second_look(space, name, self._confirmed(found))
            if self._accepts(name, choice):
                return self._second_look(space, name, self._confirmed(found))
        self.tell(f"{name}: gave up after {most} replays without a plan that keeps its budgets in the replay")
        return hidden

    def _second_look(self, space: AnySpace, name: str, confirmed: Confirmed) -> Confirmed:
        """A better plan that only the model's pessimism hides is replayed too, where searching again takes no time."""
        if isinstance(space, WideSpace):
            return confirmed
        loosened = replace(self.lens, slack=NEAR_MISS)
        near = search(Judge(self.evaluator, loosened), space, (confirmed.choice,)).best
        if near is None or near.key[:2] >= confirmed.judged.key[:2] or self._known_broken(near.choice):
            return confirmed
        plan = spelling(near.choice, self.evaluator.scenario)
        self.tell(f"{name}: {plan} would be better and misses a budget narrowly under the model")
        self._accepts(name, near.choice)
        seen = self.judge(near.choice)
        if seen.kept and seen.key < confirmed.judged.key and confirmed.found is not None:
            return self._confirmed(replace(confirmed.found, best=seen))
        return confirmed

    def _nearly_kept(self, space: AnySpace) -> Judged | None:
        """The plan whose worst budget is broken least under the model, where that is little and it was not replayed.

        The replay may see it kept. Prices are what they are.
        """
        if not isinstance(space, Space):
            return None
        search(Judge(self.evaluator, replace(self.lens, slack=NEAR_MISS)), space)
        new = [t.choice for t in self.evaluator.trials() if t.choice not in self.observed]
        judged = [self.judge(choice) for choice in new if space.holds(choice.candidates)]
        near = [one for one in judged if one.worst is not None and one.excess <= NEAR_MISS]
        near = [one for one in near if one.worst is not None and one.worst.quantity != "cost_per_hour"]
        near = [one for one in near if not self._known_broken(one.choice)]
        return min(near, key=lambda one: (one.excess, one.key), default=None)

    def corrected_by(self, choice: Choice) -> Lens:
        """Replay a choice, and the lens that knows what came of it."""
        self.observe(choice)
        self._correct(choice)
        return self.lens

    @property
    def bears(self) -> Callable[[Choice, float], bool] | None:
        """Whether the replay of a choice keeps every budget at a multiple of the load; None: that is not replayed."""
        observe, evaluator = self._observe, self.evaluator
        if not isinstance(observe, ReplaysAtLoad):
            return None

        def kept(choice: Choice, load: float) -> bool:
            trial = evaluator.trial(choice)
            seen = reading_of(observe.at_load(trial.plan, load).pooled, evaluator.limits)
            asked = ((limit, (limit.scope, limit.quantity)) for limit in evaluator.limits)
            return all(limit.excess(seen[key]) <= 0.0 for limit, key in asked if key in seen)

        return kept

    def _known_broken(self, choice: Choice) -> bool:
        """Whether this choice, or the same with more replicas, was replayed and broke a latency budget."""
        return any(
            seen.candidates == choice.candidates
            and all(more >= number for (_, more), (_, number) in zip(seen.counts, choice.counts, strict=True))
            and not self.judge(seen).latency_kept
            for seen in self.observed
        )

    def _accepts(self, name: str, choice: Choice) -> bool:
        """Replay a choice; whether it keeps its budgets there, and the model was about right."""
        self.observe(choice)
        self._look_closer(name, choice)
        judged = self.judge(choice)
        worst = self._correct(choice)
        what = "no steady state"
        if judged.worst is not None and judged.value is not None:
            what = f"{judged.worst} {judged.value:.4g} of {judged.worst.limit:.4g}"
        elif judged.worst is None:
            what = "no budget to keep"
        verdict = "kept" if judged.kept else "broken"
        plan = spelling(choice, self.evaluator.scenario)
        self.tell(f"{name}: replayed {plan}: {what}, {verdict}; model off by at most {worst:.1%}")
        return judged.kept and worst <= GROSS_ERROR

    def _correct(self, choice: Choice) -> float:
        """Take observed / predicted as the factor of these modes from now on; the largest error of any quantity."""
        trial, seen = self.evaluator.trial(choice), self._readings[choice]
        if not self.observed[choice].pooled.steady and trial.performance is not None:
            busiest = max(trial.performance.devices, key=lambda device: device.saturation or 0.0)
            if busiest.saturation is not None:
                known = self._unsteady.get(busiest.name, inf)
                self._unsteady[busiest.name] = min(known, busiest.saturation)
        ways: Mapping[str, str] = {candidate.workload: candidate.way for candidate in choice.candidates}
        ratios = {
            (scope, ways.get(scope, ""), quantity): found / expected
            for (scope, quantity), expected in trial.reading.items()
            if (found := seen.get((scope, quantity))) is not None and expected is not None and expected > 0.0
        }
        if self._many:
            return self._lesson(choice, trial.reading, seen)
        self._factors.update(ratios)
        return max((abs(ratio - 1.0) for ratio in ratios.values()), default=0.0)

    def _lesson(self, choice: Choice, expected: Reading, seen: Reading) -> float:
        """`seen`: as budgets are judged by, of each workload what model and replay say together."""
        limits = self.evaluator.limits
        broken = frozenset(
            (limit.scope, limit.quantity)
            for limit in limits
            if limit.excess(seen.get((limit.scope, limit.quantity))) > 0.0
        )
        observed = self.observed[choice]
        runs = [reading_of(run, limits) for run in observed.runs]
        raw = dict(reading_of(observed.pooled, limits))
        raw.update({key: seen.get(key) for key in broken & self._together[choice].keys()})
        found = lesson_of(choice, expected, raw, runs, broken, GROSS_ERROR)
        self._factors.update(found.factors)
        return found.off

    def _confirmed(self, found: Found) -> Confirmed:
        assert found.best is not None
        return replace(self.confirmed(found.best.choice), found=found)

    def confirmed(self, choice: Choice) -> Confirmed:
        """A choice that the model has a performance for, with its replay; it need not keep its budgets."""
        performance = self.evaluator.trial(choice).performance
        assert performance is not None
        observed = self.observe(choice)
        return Confirmed(self.judge(choice), performance, observed, together=self._together.get(choice, {}))
