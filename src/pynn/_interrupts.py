"""Tracebacks of interrupts, and warnings: the caller's lines, not pynn's."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import FrameType, TracebackType

# Frames of these below a call of pynn's are pynn's doing; others belong to the caller's functions.
INTERNAL = {"pynn", "joblib", "numpy", "scipy", "sklearn", "tqdm", *sys.stdlib_module_names}


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
