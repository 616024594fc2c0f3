"""Tasks on several cores give what they give one after the other, also where a process fails or dies."""

from __future__ import annotations

import os

import pytest

from dsd_plan.cli.processes import MOST_TASKS, on_all_cores


def test_results_stand_in_the_order_of_the_tasks_and_come_from_other_processes() -> None:
    told: list[int] = []
    found = on_all_cores([lambda n=n: (n * n, os.getpid()) for n in range(20)], told.append, workers=3)
    assert [square for square, _ in found] == [n * n for n in range(20)]
    assert os.getpid() not in {process for _, process in found}
    assert told == list(range(1, 21))


def test_what_was_found_before_is_known_there_and_nothing_comes_back_but_results() -> None:
    seen = [1]

    def task() -> int:
        seen.append(2)
        return len(seen)

    assert on_all_cores([task, task], lambda done: None, workers=2)[0] >= 2
    assert seen == [1]


def test_an_error_is_raised_here() -> None:
    def wrong() -> None:
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        on_all_cores([lambda: 1, wrong, lambda: 2], lambda done: None, workers=2)


def test_what_a_process_that_dies_has_not_done_is_done_here() -> None:
    parent = os.getpid()

    def fatal() -> str:
        if os.getpid() != parent:
            os._exit(1)
        return "here"

    found = on_all_cores([fatal, fatal, fatal, lambda: 4], lambda done: None, workers=2)
    assert found == ["here", "here", "here", 4]


def test_what_cannot_be_sent_is_done_here() -> None:
    first, second = on_all_cores([lambda: lambda: 3, lambda: 4], lambda done: None, workers=2)
    assert (first(), second) == (3, 4)


@pytest.mark.parametrize(("many", "workers"), [(1, 2), (3, 1), (MOST_TASKS + 1, 2), (0, 2)])
def test_one_task_or_one_core_or_very_many_tasks_need_no_process(many: int, workers: int) -> None:
    found = on_all_cores([os.getpid] * many, lambda done: None, workers=workers)
    assert set(found) <= {os.getpid()}
    assert len(found) == many
