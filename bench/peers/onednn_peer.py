"""oneDNN: matrix products only, by `dnnl_sgemm` of the system's library."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Any

import numpy as np

from . import blas
from .base import Array, Peer


class OneDnnPeer(Peer):
    """Speaks for oneDNN; its OpenMP has read the number of threads from the environment."""

    name = "onednn"

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def info(self) -> dict[str, Any]:
        self.library.dnnl_version.restype = ctypes.POINTER(ctypes.c_int)
        major, minor, patch = self.library.dnnl_version()[:3]
        return {"version": f"{major}.{minor}.{patch}"}

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        out = np.empty((len(a), b.shape[1]), np.float32)
        (a_transposed, lda), (b_transposed, ldb) = blas.leading(a), blas.leading(b)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        letters = [ctypes.c_char(b"NT"[transposed]) for transposed in (a_transposed, b_transposed)]
        sizes = [ctypes.c_int64(size) for size in (*out.shape, a.shape[1])]
        operands = [one, blas.pointer(a), ctypes.c_int64(lda), blas.pointer(b), ctypes.c_int64(ldb)]
        result = [zero, blas.pointer(out), ctypes.c_int64(out.shape[1])]
        arguments = [*letters, *sizes, *operands, *result]
        return blas.bound(self.library.dnnl_sgemm, arguments, out, a, b)


def load(threads: int) -> Peer:
    """Find the system's oneDNN."""
    name = ctypes.util.find_library("dnnl")
    if name is None:
        raise ImportError("no libdnnl on this system")
    return OneDnnPeer(ctypes.CDLL(name))
