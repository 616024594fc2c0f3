"""Replications on all cores: the kernel needs no GIL. They report how far they are, and can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

OnProgress = Callable[[int, int, str], None]

LOOK_S = 0.1
"""How often the replications are looked at."""
PATIENCE = 10
"""Looks before anything is said."""
COMPILING = "compiling the event kernel for this machine; what is compiled is kept for the next time"


class _StoppedError(Exception):
    """Ends a replication from within."""


class Threads:
    """A `run_all` and a `watch` for `replayed`.

    An interrupt (Ctrl-C) stops the replications that run; those that have ended are given back. Raises
    KeyboardInterrupt where none has.
    """

    def __init__(self, requests: int, on_progress: OnProgress | None = None) -> None:
        self.interrupted = False
        self._requests = requests
        self._on_progress = on_progress
        self._started: dict[int, int] = {}
        self._stop = Event()

    def watch(self, replication: int, started: int) -> None:
        """How many requests a replication has started; ends it if all of them are to stop."""
        if self._stop.is_set():
            raise _StoppedError
        self._started[replication] = started

    def run_all(self, once: Callable[[int], Any], numbers: Iterable[int]) -> list[Any]:
        """`once` of each number, in threads, after its `load` if there is one; results in the order of the numbers."""
        from numba import config

        wanted = list(numbers)
        with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as executor:
            try:
                load = getattr(once, "load", None)
                if load is not None:
                    self._wait([executor.submit(load)], len(wanted), COMPILING)
                futures = [executor.submit(once, number) for number in wanted]
                self._wait(futures, len(wanted), "")
            except KeyboardInterrupt:
                self.interrupted = True
                return self._ended(futures if self._started else [])
            except BaseException:
                self._stop.set()
                raise
        return [future.result() for future in futures]

    def _ended(self, futures: list[Future[Any]]) -> list[Any]:
        self._stop.set()
        for future in futures:
            future.cancel()
        wait(futures)
        ended = [f.result() for f in futures if not f.cancelled() and not isinstance(f.exception(), _StoppedError)]
        if not ended:
            raise KeyboardInterrupt
        return ended

    def _wait(self, futures: list[Future[Any]], replications: int, text: str) -> None:
        looks = 0
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, LOOK_S)
            for future in done:
                future.result()
            looks += 1
            if self._on_progress is not None and waiting and looks >= PATIENCE:
                ended = 0 if text else len(futures) - len(waiting)
                started = sum(min(count, self._requests) for count in self._started.values())
                words = text or f"{ended} of {replications} replications"
                self._on_progress(started, replications * self._requests, words)
