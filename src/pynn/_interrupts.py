"""Tracebacks of interrupts: the caller's lines, not pynn's."""

from __future__ import annotations

import sys
from types import FrameType, TracebackType

# Frames of these below a call of pynn's are pynn's doing; others belong to the caller's functions.
INTERNAL = {"pynn", "numpy", "scipy", "sklearn", "tqdm", *sys.stdlib_module_names}


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


def stack_level() -> int:
    """Tell the `stacklevel` with which the caller's `warnings.warn` names the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_internal(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_internal(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in INTERNAL


def _began_in_pynn(traceback: TracebackType | None) -> bool:
    # (A traceback begins with the frame that has caught the exception.)
    return traceback is None or _is_internal(traceback.tb_frame)
