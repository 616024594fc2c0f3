"""What a verdict is made from: the best speculative plan against the best plain one."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study_decision import Backcast, DraftsLost
from dsd_plan.optimize.choices.evaluate import Trial
from dsd_plan.optimize.confirmation.compare import Ratio
from dsd_plan.optimize.confirmation.confirm import Confirmed
from dsd_plan.optimize.confirmation.doubt import Doubt

NOT_SEARCHED = "was not in the search"
METRIC_WORDS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E"}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What the verdict is made from: the best speculative plan against the best plain one."""

    scenario: Scenario
    speculative: Confirmed | None
    """None: no draft can be deployed here, or nothing about it could be predicted."""
    plain: Confirmed | None
    """None: plain decoding was not in the search, or has no steady state."""
    objective: Ratio | None
    """Objective of the speculative plan over the plain one's; None where either breaks a budget."""
    tpot: Ratio | None
    """The same of mean TPOT."""
    plain_trouble: str = ""
    """Why plain decoding cannot do, where it cannot."""
    speculative_trouble: str = ""
    edge: Trial | None = None
    """The best plan that drafts at the edge, whether it can do or not."""
    lost: DraftsLost | None = None
    """The speculative plan without its drafts; None where it can lose none."""
    backcast: Backcast | None = None
    """Today's system reproduced, whose error is in every interval that is told; None where none is given."""
    doubt: Doubt | None = None
    """About the one of the two plans that breaks a budget, where that is by less than the error."""

    @property
    def believed(self) -> bool:
        """Whether the model can be believed at all: it does not saturate a system that is in service."""
        return self.backcast is None or self.backcast.saturates is None


def mean_tpot_words(workloads: int) -> str:
    """The mean TPOT that plans are compared by, said of what it is."""
    if workloads == 1:
        return "mean TPOT"
    return f"mean TPOT over the tokens of {'both' if workloads == 2 else f'all {workloads:,}'} workloads"


def listed(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
