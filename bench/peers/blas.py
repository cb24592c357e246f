"""Matrix products of C libraries, called through ctypes: what the two of them share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from .base import Array


def leading(x: Array) -> tuple[bool, int]:
    """Return True for a transposed view of a C-ordered matrix, and its leading dimension."""
    if x.flags.c_contiguous:
        return False, x.shape[1]
    return True, x.shape[0]


def pointer(x: Array) -> ctypes.c_void_p:
    """Where an array begins."""
    return ctypes.c_void_p(x.ctypes.data)


def bound(function: Any, arguments: list[Any], result: Array, *kept: Array) -> Callable[[], Any]:
    """Give the call with its arguments converted once, so that it costs little."""

    def call() -> Array:
        function(*arguments)
        return result

    call.kept = kept  # type: ignore[attr-defined]  # the pointers' owners
    return call
