"""Step-time surfaces inside the kernel: the very functions of `domain.step_time`, over views of one table."""

from __future__ import annotations

from dsd_plan.domain import step_time
from dsd_plan.domain.step_time import AFFINE, StepSurface, affine_decode_ms, decode_ms
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import NUMBER, SURFACE, World
from dsd_plan.replay.memory import floats, row

for _function in (
    *(
        step_time.law_step_ms,
        step_time.law_decode_ms,
        step_time.affine_decode_ms,
        step_time.law_prefill_ms,
        step_time.prompts_in_knots,
        step_time.clamp,
        step_time.cell,
    ),
    *(step_time.mixed_kv_ms, step_time.chunks_over_context_ms),
    *(step_time.decode_ms, step_time.prefill_ms, step_time.iteration_ms, step_time.engine_step_ms),
):
    compiled(_function)


@compiled
def surface_at(world: World, index: int) -> StepSurface:
    """A surface as views into the numbers of all surfaces."""
    at = row(world.surfaces, SURFACE, index)
    numbers = world.numbers
    return StepSurface(
        floats(numbers, at.decode_batch, (at.batches,)),
        floats(numbers, at.decode_new, (at.news,)),
        floats(numbers, at.decode_context, (at.contexts,)),
        floats(numbers, at.decode, (at.batches, at.news, at.contexts)),
        floats(numbers, at.prefill_batch, (at.prefills,)),
        floats(numbers, at.prefill_prompt, (at.prompts,)),
        floats(numbers, at.prefill, (at.prefills, at.prompts)),
        floats(numbers, at.law, (at.laws,)),
    )


@compiled
def decode_at(world: World, index: int, batch: float, new_tokens: float, context_tokens: float) -> float:
    """`decode_ms` of a surface. A law without knots is read where it stands: eight views cost more than its sum."""
    at = row(world.surfaces, SURFACE, index)
    if at.batches == 0 and at.laws == AFFINE:
        step_ms = row(world.numbers, NUMBER, at.law).value
        token_ms = row(world.numbers, NUMBER, at.law + 1).value
        kv_token_ms = row(world.numbers, NUMBER, at.law + 3).value
        return affine_decode_ms(step_ms, token_ms, kv_token_ms, batch, new_tokens, context_tokens)
    return decode_ms(surface_at(world, index), batch, new_tokens, context_tokens)
