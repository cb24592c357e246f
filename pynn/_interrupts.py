"""Exceptions from outside pynn, and tracebacks and warnings that name the caller's lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any

# Frames of these below a call of pynn's are pynn's doing; others belong to the caller's functions.
INTERNAL = {"pynn", "joblib", "numpy", "scipy", "sklearn", "tqdm", *sys.stdlib_module_names}
# Classes of these may also tell of a failure of what pynn calls.
PACKAGES = {"safetensors", "safetensors_rust"}

# In a thread of pynn's: the frame that the thread works for.
CALLER: ContextVar[FrameType] = ContextVar("CALLER")


def shorten(error: BaseException) -> None:
    """Leave the frames of pynn's internals out of an interrupt's traceback.

    What stays are the frames from the first one of the caller's functions on: a callback, a metric,
    a source of mini-batches, a handler of signals. Exceptions that were being handled within pynn
    are left out too.

    Parameters
    ----------
    error : BaseException
        As a function of pynn's has caught it, which is to raise it again.
    """
    traceback = error.__traceback__
    while traceback is not None and _is_internal(traceback.tb_frame):
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    context = error.__context__
    while context is not None and _began_in_pynn(context.__traceback__):
        context = context.__context__
    error.__context__ = context


def pass_on(error: BaseException) -> None:
    """Raise the exception from outside that an exception is or was made from, if there is one.

    From outside are exceptions of signals' handlers, whatever their class, and those whose class is
    neither Python's nor pynn's nor that of a package it uses (a time limit's, raised by another
    thread). Code that such an exception ends may take it for another failure and raise
    another one in its place.

    Parameters
    ----------
    error : BaseException
        As code of pynn's has caught it, in which no function of the caller's is called.

    Raises
    ------
    BaseException
    """
    found = interrupt_in(error)
    if found is not None:
        raise found


def interrupt_in(error: BaseException) -> BaseException | None:
    """Find the exception of `pass_on`.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    BaseException or None
    """
    each: BaseException | None = error
    seen = set()
    # (What was being handled before pynn was called is no cause of this.)
    while each is not None and id(each) not in seen and _began_in_pynn(each.__traceback__):
        if _is_from_outside(each):
            return each
        seen.add(id(each))
        each = each.__cause__ or each.__context__
    return None


def _is_from_outside(error: BaseException) -> bool:
    is_known = type(error).__module__.partition(".")[0] in INTERNAL | PACKAGES
    return not isinstance(error, Exception) or not is_known or comes_from_a_handler(error)


def comes_from_a_handler(error: BaseException) -> bool:
    """Tell whether an exception was raised in a function that handles a signal now.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    bool
    """
    handlers = {code for each in _handlers() if (code := _code_of(each)) is not None}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _handlers() -> Iterator[Any]:
    import signal  # (`import pynn` is quick without it)

    for number in signal.valid_signals():
        try:
            yield signal.getsignal(number)
        except (OSError, ValueError):  # (some numbers of Windows)
            continue


def _code_of(handler: Any) -> Any:
    """The code that runs when this is called."""
    handler = getattr(handler, "func", handler)  # functools.partial
    if not hasattr(handler, "__code__") and not hasattr(handler, "__func__"):
        handler = getattr(handler, "__call__", handler)  # noqa: B004 # an object's method
    return getattr(getattr(handler, "__func__", handler), "__code__", None)


class Suppressed:
    """`contextlib.suppress` that lets exceptions of signals' handlers pass.

    Parameters
    ----------
    *kinds : type
    """

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        return isinstance(error, self._kinds) and not _is_from_outside(error)


def caller() -> FrameType:
    """Find the user's frame that the present one works for, in this thread or another.

    Returns
    -------
    frame
        The outermost one where all are internal.
    """
    frame = sys._getframe(1)
    while _is_internal(frame):
        if frame.f_back is None:
            return CALLER.get(frame)
        frame = frame.f_back
    return frame


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something at the user's line.

    Parameters
    ----------
    message : str
    category : type
    """
    import warnings

    frame = caller()
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_internal(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in INTERNAL


def _began_in_pynn(traceback: TracebackType | None) -> bool:
    # (A traceback begins with the frame that has caught the exception.)
    return traceback is None or _is_internal(traceback.tb_frame)
