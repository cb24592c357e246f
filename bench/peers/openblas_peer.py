"""OpenBLAS with its AVX-512 kernels, which it does not choose on every processor that has AVX-512.

A copy of the library in SciPy's wheel is loaded: NumPy's own has chosen its kernels already. Where
OPENBLAS_CORETYPE names other kernels, it has those, as NumPy's.
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

import pynn

from . import blas
from .base import Array, Peer

CORE_TYPE = "OPENBLAS_CORETYPE"
ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112


class OpenBlasPeer(Peer):
    """Speaks for OpenBLAS; it has read the number of threads from the environment."""

    name = "openblas"

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def info(self) -> dict[str, Any]:
        core = self.library.scipy_openblas_get_corename
        core.restype = ctypes.c_char_p
        return {"kernels": core().decode()}

    def product(self, a: Array, b: Array) -> Callable[[], Any]:
        out = np.empty((len(a), b.shape[1]), np.float32)
        (a_transposed, lda), (b_transposed, ldb) = blas.leading(a), blas.leading(b)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        orders = [
            ROW_MAJOR,
            *(TRANSPOSED if transposed else AS_IS for transposed in (a_transposed, b_transposed)),
        ]
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
    if CORE_TYPE in os.environ:
        return OpenBlasPeer(copied(found[0]))
    if "avx512" not in pynn.show_config("dict")["isas_usable"]:
        raise ImportError("this processor has no AVX-512")
    os.environ[CORE_TYPE] = "SkylakeX"
    try:
        return OpenBlasPeer(copied(found[0]))
    finally:
        del os.environ[CORE_TYPE]


def copied(library: Path) -> ctypes.CDLL:
    """Load a copy of a library, beside the ones that it looks for in its own folder."""
    with tempfile.TemporaryDirectory() as folder:
        for neighbor in library.parent.iterdir():
            Path(folder, neighbor.name).symlink_to(neighbor)
        Path(folder, library.name).unlink()
        return ctypes.CDLL(str(shutil.copy(library, folder)))
