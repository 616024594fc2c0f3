"""Independent work on several cores: forked processes that take a task whenever they are free.

A fork has all that was found so far, so that nothing is sent there. What fails in one, or cannot be sent back, is done
here: that raises its error where it belongs.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from dsd_plan.measure.machine import cores

Task = Callable[[], Any]
MOST_TASKS = 256
"""A task's number is one byte, which two processes cannot read half of."""


def on_all_cores(tasks: Sequence[Task], ended: Callable[[int], None], *, workers: int | None = None) -> list[Any]:
    """Results in the order of `tasks`, the same as one after the other. `ended` is told how many there are by now.

    An interrupt (Ctrl-C) ends the processes at once.
    """
    many = min(cores() if workers is None else workers, len(tasks))
    found: dict[int, Any] = {}
    if many > 1 and len(tasks) <= MOST_TASKS and "fork" in get_all_start_methods():
        _forked(tasks, many, found, ended)
    for number, task in enumerate(tasks):
        if number not in found:
            found[number] = task()
            ended(len(found))
    return [found[number] for number in range(len(tasks))]


def _forked(tasks: Sequence[Task], many: int, found: dict[int, Any], ended: Callable[[int], None]) -> None:
    context = get_context("fork")
    claims, numbers = os.pipe()
    os.write(numbers, bytes(range(len(tasks))))
    os.close(numbers)
    processes, results = [], list[Connection]()
    for _ in range(many):
        result, sending = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(tasks, claims, sending), daemon=True)
        with warnings.catch_warnings():
            # The thread that draws the progress bar holds nothing that the work asks for.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        sending.close()
        processes.append(process)
        results.append(result)
    os.close(claims)
    try:
        waiting = list(results)
        while waiting:
            ready = wait(waiting)
            for result in [result for result in waiting if result in ready]:
                try:
                    number, value = result.recv()
                except EOFError:
                    waiting.remove(result)
                    continue
                found[number] = value
                ended(len(found))
    finally:
        for process in processes:
            process.kill()
            process.join()
        for result in results:
            result.close()


def _work(tasks: Sequence[Task], claims: int, sending: Connection) -> None:
    """In a process of its own; what goes wrong is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        while number := os.read(claims, 1):
            sending.send((number[0], tasks[number[0]]()))
    finally:
        # Nothing of the parent's is to be flushed, closed or said here a second time.
        os._exit(0)
