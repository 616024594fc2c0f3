"""Steps of an engine-like replica beside a plain one's: dearer KV reads, chunks under a budget, planning ahead.

`decodes` and `prefills` are jobs of each class in a step, shape (grid, classes); times in ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.engine_like.backlog import backlog, steps_behind
from dsd_plan.queueing.distributions import normal

Array = NDArray[np.float64]

LEAST_BUDGET = 0.05
"""Share of the token budget that prompts are taken to get at least."""
FULLEST = 0.97
"""Share of the budget that prompts are taken to fill at most."""
FAR = 7.0
"""Standard deviations of a step's prompts beyond which a budget is never reached."""
MOST_PROMPTS = 8
"""Prompts that one step may see come."""
ENDING = 6.0
"""How fast planning ahead ends, by the share of a step that does not depend on its jobs; fitted to replays."""
NOBODY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class EngineSteps:
    """What a plain server has not. Arrays over classes."""

    ahead: bool
    """The next step is planned while one is in flight."""
    budget: float
    """New tokens a step; infinite where there is no limit."""
    tokens: Array
    """New tokens of a decode or verify."""
    prompts: Array
    """Tokens of a prompt to compute; `prompt_squares` is their mean square."""
    prompt_squares: Array
    mixed: Array
    """What a decode or verify takes longer where a prefill shares its step."""

    def left(self, decodes: Array) -> Array:
        """Tokens that a step leaves to prompts, shape (grid,)."""
        left: Array = np.maximum(self.budget - decodes @ self.tokens, LEAST_BUDGET * self.budget)
        return left

    def unfinished(self, decodes: Array, prefills: Array) -> Array:
        """Share of the steps that leave a rest of a prompt to the next, shape (grid,).

        n prompts come with Poisson's chance; with the tokens of n of them, and of decodes that vary like Poisson
        numbers, about normal, a step has more to do than its budget.
        """
        if not np.isfinite(self.budget):
            return np.zeros(decodes.shape[0])
        coming = prefills.sum(axis=-1)
        mean = (prefills @ self.prompts) / np.maximum(coming, NOBODY)
        square = (prefills @ self.prompt_squares) / np.maximum(coming, NOBODY)
        room = self.budget - decodes @ self.tokens
        noise = decodes @ self.tokens**2 + 1.0
        fits, chance = np.zeros(room.size), np.exp(-coming)
        for count in range(MOST_PROMPTS):
            spread = np.sqrt(noise + count * np.maximum(square - mean**2, 0.0))
            fits += chance * normal((room - count * mean) / spread)[0]
            chance = chance * coming / (count + 1.0)
        rest: Array = 1.0 - fits
        return rest

    def staying(self, decodes: Array, prefills: Array, empty: Array, fixed: Array) -> Array:
        """Share of the steps begun while a next one is planned, where only returning sessions have jobs, shape (grid,).

        A rest of a prompt is planned ahead at once, and so is the step after, by all who came back meanwhile: so it
        goes on until nobody did (`empty`). A chain of two states, entered with `unfinished`. The rest's own step is
        short, few come back in it and many in the next: unless the `fixed` share of a step evens them out, one of the
        short ones soon finds nobody (ENDING, fitted).
        """
        begins = self.unfinished(decodes, prefills)
        ends = (1.0 - begins) * np.maximum(empty, np.exp(-ENDING * fixed))
        share: Array = begins / np.maximum(begins + ends, NOBODY)
        return share

    def chunks(self, decodes: Array) -> Array:
        """Chunks of a prompt of each class, shape (grid, classes)."""
        if not np.isfinite(self.budget):
            return np.ones_like(decodes)
        return np.maximum(np.ceil(self.prompts / self.left(decodes)[:, None]), 1.0)

    def mixing(self, decodes: Array, prefills: Array) -> Array:
        """Share of the steps that hold a chunk, as they are Poisson many: 1 − exp(−chunks), shape (grid,)."""
        share: Array = 1.0 - np.exp(-(prefills * self.chunks(decodes)).sum(axis=-1))
        return share

    def mixed_ms(self, decodes: Array, prefills: Array) -> Array:
        """Mean time that dearer KV reads add to a step, shape (grid,)."""
        if not self.mixed.any():
            return np.zeros(decodes.shape[0])
        added: Array = self.mixing(decodes, prefills) * (decodes @ self.mixed)
        return added

    def chunked_ms(self, decodes: Array, prefills: Array, iteration: Array, added: Array) -> Array:
        """How much later a prompt's last chunk ends than if it were computed whole, shape (grid, classes).

        Its own chunks but one take a decode step each, and so does each step that prompts before it fill (`backlog`);
        what is left over of those is computed before it as well. Prompts of a mix count as fewer, of E[P²]/E[P] tokens.
        """
        if not np.isfinite(self.budget):
            return np.zeros_like(decodes)
        left = self.left(decodes)
        bare = _bare(iteration, prefills, added)
        own = self.chunks(decodes)
        size, coming = self._prompts(prefills, left)
        if bool((left > size * (2.0 + coming + FAR * np.sqrt(coming))).all()):
            return (own - 1.0) * bare[:, None]
        over = backlog(coming, size, left)
        behind = steps_behind(over, coming, size, left, own * left[:, None] - self.prompts)
        token = prefills @ added / np.maximum(prefills @ self.prompts, NOBODY)
        steps = own - 1.0 + behind.chance * behind.steps
        later: Array = steps * bare[:, None] + (over.chance * over.mean * token)[:, None]
        return later

    def late(
        self, decodes: Array, prefills: Array, iteration: float, added: Array, k: int
    ) -> tuple[float, float, float]:
        """(chance, mean, variance) of how much later the prompts before it make one of class k end, in ms."""
        if not np.isfinite(self.budget):
            return 0.0, 0.0, 0.0
        rows, coming_rows = decodes[None, :], prefills[None, :]
        left, own = self.left(rows), self.chunks(rows)
        size, coming = self._prompts(coming_rows, left)
        room = own * left[:, None] - self.prompts
        behind = steps_behind(backlog(coming, size, left), coming, size, left, room)
        steps, bare = float(behind.steps[0, k]), float(_bare(np.array([iteration]), coming_rows, added)[0])
        return float(behind.chance[0, k]), steps * bare, steps * (steps - 1.0) * bare**2

    def _prompts(self, prefills: Array, left: Array) -> tuple[float, Array]:
        """(tokens of one prompt, how many of those come in a step, shape (grid,)), of the same mean and variance."""
        mix = prefills[-1]
        size = max(float(mix @ self.prompt_squares) / max(float(mix @ self.prompts), NOBODY), 1.0)
        return size, np.minimum(prefills @ self.prompts, FULLEST * left) / size


def _bare(iteration: Array, prefills: Array, added: Array) -> Array:
    """A step without its prompts, shape (grid,)."""
    bare: Array = np.maximum(iteration - prefills @ added, 0.1 * iteration)
    return bare
