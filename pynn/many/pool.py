"""Tasks in Python threads, each with one of pynn's threads to itself."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pynn import _core
from pynn._interrupts import CALLER, caller

Task = Callable[[Callable[[], None]], Any]

# How often the calling thread looks for a signal where waiting does not let signals through, s.
PATIENCE = 0.05


class Canceled(BaseException):  # no Exception: only the pool catches it
    """Raised in a task when all tasks are to end."""


def run_all(tasks: Sequence[Task], threads: int, finished: Callable[[int, Any], None]) -> None:
    """Run tasks to their ends, or end them all at the first exception in the calling thread.

    Parameters
    ----------
    tasks : sequence of callable
        Each is called with a function that it must call often: it raises what ends the task.
    threads : int
    finished : callable
        Called in the calling thread as ``finished(index, outcome)`` for each task, in the order in
        which they end; the outcome is what the task returned, or the exception that it raised. An
        exception in it ends all tasks.

    Raises
    ------
    BaseException
        A signal's exception in the calling thread, or what `finished` raises. All threads have
        ended.
    """
    stop = threading.Event()
    waiting = deque(range(len(tasks)))
    done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def poll() -> None:
        if stop.is_set():
            raise Canceled

    def work() -> None:
        _core.set_thread_limit(1)
        while not stop.is_set():
            try:
                index = waiting.popleft()
            except IndexError:
                return
            try:
                outcome = tasks[index](poll)
            except Canceled:
                return
            except BaseException as error:
                outcome = error
            done.put((index, outcome))

    # (A separate context for each: NumPy's errstate is the caller's, and warnings name its line.)
    token = CALLER.set(caller())
    pool = [
        threading.Thread(target=contextvars.copy_context().run, args=(work,), name=f"pynn-{i}")
        for i in range(min(threads, len(tasks)))
    ]
    CALLER.reset(token)
    try:
        started = _start(pool)
        del pool[started:]
        if not pool:
            before = _core.set_thread_limit(1)
            try:
                _run_here(tasks, poll, finished)
            finally:
                _core.set_thread_limit(before)
            return
        for _ in tasks:
            finished(*_next(done, pool))
    except BaseException:
        stop.set()
        raise
    finally:
        _join(pool, stop)


def _start(pool: list[threading.Thread]) -> int:
    """Start the threads that the system has room for; return how many."""
    for started, thread in enumerate(pool):
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread"
            _core.warn_of_thread_shortage()
            return started
    return len(pool)


def _run_here(
    tasks: Sequence[Task], poll: Callable[[], None], finished: Callable[[int, Any], None]
) -> None:
    """Run tasks one after another in the calling thread."""
    for index, task in enumerate(tasks):
        try:
            outcome = task(poll)
        except Exception as error:
            outcome = error
        finished(index, outcome)


def _next(done: queue.SimpleQueue[tuple[int, Any]], pool: list[threading.Thread]) -> Any:
    while True:
        alive = any(thread.is_alive() for thread in pool)
        try:
            return done.get(timeout=PATIENCE)
        except queue.Empty:
            if not alive:
                raise RuntimeError("a thread ended before its work was done") from None


def _join(pool: list[threading.Thread], stop: threading.Event) -> None:
    """Wait for all threads, whatever happens meanwhile."""
    late: BaseException | None = None
    while any(thread.is_alive() for thread in pool):
        try:
            for thread in pool:
                while thread.is_alive():
                    thread.join(PATIENCE)
        except BaseException as error:  # a signal's
            stop.set()
            late = error
    if late is not None:
        raise late
