"""Functions of the kernel with switches as constants: what lies behind one that is off is not compiled."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from dsd_plan.replay.compiled import compiled, switched
from dsd_plan.replay.engine import Run, features_of, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import FINISHED, KERNELS, PLAIN, WHOLE, kernel_for
from tests.replay.builder import poisson, system

EXTRA: bool = True
OTHER = 3


@compiled
def not_for_machines(x: int) -> int:
    """What numba cannot compile."""
    return eval("x + 1")  # type: ignore[no-any-return]


@compiled
def doubled(x: int) -> int:
    """Twice x, and more where there is more."""
    return 2 * x + not_for_machines(x) if EXTRA else 2 * x


def quadrupled(x: int) -> int:
    """Reached through another function."""
    return 2 * doubled(x)


def tripled(x: int) -> int:
    """Has a global of its own that is no switch."""
    return OTHER * x


def test_what_lies_behind_a_switch_that_is_off_is_not_compiled() -> None:
    assert njit(switched(quadrupled, {"EXTRA": False}, "_less"))(3) == 12
    assert quadrupled(3) == 2 * (6 + 4)
    assert switched(quadrupled, {"EXTRA": False}, "_less").__qualname__ == "quadrupled_less"


def test_a_global_that_only_has_a_switchs_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tripled.*OTHER"):
        switched(tripled, {"OTHER": False}, "_less")


def test_a_plan_gets_the_smallest_kernel_that_can_play_it() -> None:
    plain = tables_of(system(poisson(1.0)))
    assert features_of(plain) == PLAIN
    assert features_of(tables_of(system(poisson(1.0), mode="pipelined"))) == {"DRAFTS_QUEUE"}
    assert kernel_for(frozenset({"DRAFTS_QUEUE"})) is kernel_for(WHOLE)
    assert kernel_for(PLAIN) is not kernel_for(WHOLE)
    assert KERNELS[-1] == WHOLE


def test_the_whole_kernel_plays_a_plain_plan_to_the_same_bits() -> None:
    deployed = system(poisson(2.0))
    rows = []
    for kernel in (kernel_for(PLAIN), kernel_for(WHOLE)):
        run = Run(tables_of(deployed), keys_of(deployed, 3, 0), users_of(deployed), 200)
        assert kernel(run.worlds) == FINISHED
        rows.append(run.tables["sessions"])
    assert np.array_equal(*rows)
