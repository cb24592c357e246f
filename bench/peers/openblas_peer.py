"""OpenBLAS with its AVX-512 kernels, which it does not choose on every processor that has AVX-512.

A copy of the library in SciPy's wheel is loaded: NumPy's own has chosen its kernels already.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import blas
from .base import Array, Peer

ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112


class OpenBlasPeer(Peer):
    """Speaks for OpenBLAS with OPENBLAS_CORETYPE=SkylakeX."""

    name = "openblas"

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def info(self) -> dict[str, Any]:
        core = self.library.scipy_openblas_get_corename
        core.restype = ctypes.c_char_p
        return {"kernels": core().decode()}

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        out = np.empty((len(a), b.shape[1]), np.float32)
        (a_turned, lda), (b_turned, ldb) = blas.leading(a), blas.leading(b)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        orders = [ROW_MAJOR, *(TRANSPOSED if turned else AS_IS for turned in (a_turned, b_turned))]
        operands = [one, blas.pointer(a), lda, blas.pointer(b), ldb]
        arguments = [*orders, *out.shape, a.shape[1], *operands, zero, blas.pointer(out)]
        arguments.append(out.shape[1])
        return blas.bound(self.library.scipy_cblas_sgemm, arguments, out, a, b)


def load(threads: int) -> Peer:
    """Load a copy of SciPy's OpenBLAS, held to AVX-512."""
    import scipy

    found = sorted(Path(scipy.__file__).parent.parent.glob("scipy.libs/libscipy_openblas*.so"))
    if not found:
        raise ImportError("SciPy has brought no OpenBLAS of its own")
    before = os.environ.get("OPENBLAS_CORETYPE")
    os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
    try:
        with tempfile.TemporaryDirectory(dir=found[0].parent) as folder:
            return OpenBlasPeer(ctypes.CDLL(shutil.copy(found[0], folder)))
    finally:
        del os.environ["OPENBLAS_CORETYPE"]
        if before is not None:
            os.environ["OPENBLAS_CORETYPE"] = before
