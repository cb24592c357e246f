"""Places each of NumPy's arrays at a protected page (Linux).

`Guard` is a memory handler of NumPy's (NEP 49): while it is in use, the data of each new array end
exactly where such a page begins, or begin exactly where one ends. What reads or writes beyond that
edge dies of a segmentation fault. Beyond the other edge of the data, up to the page's, lie NaNs:
they are compared when the array is freed, and a kernel that reads them gives NaN.
"""

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
FILL = 0xFF  # of all bytes: NaN in every float type
_FILLED = bytes([FILL]) * PAGE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PROT_NONE = 0

_MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_TWO_SIZES = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of NumPy's C interface."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", _MALLOC),
        ("calloc", _TWO_SIZES),
        ("realloc", _REALLOC),
        ("free", _FREE),
    )


def _set_handler():
    """NumPy's C function PyDataMem_SetHandler."""
    try:
        from numpy._core._multiarray_umath import _ARRAY_API
    except ImportError:  # NumPy 1
        from numpy.core._multiarray_umath import _ARRAY_API
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(address(_ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])


class Guard:
    """A context in which NumPy's arrays lie at guard pages.

    edge: "end" or "begin", which edge of the data lies at the page. `violations` says where bytes
    beyond the other edge were written; `arrays` counts the arrays that were freed and compared.
    """

    def __init__(self, edge):
        self.edge = edge
        self.violations = []
        self.arrays = 0
        self._blocks = {}  # by the data's address: the first page, how many pages, the size
        self._free_pages = {}  # by their number: the first pages of those to be used again
        self._handler = _Handler(
            name=b"guard_pages",
            version=1,
            malloc=_MALLOC(lambda _, size: self._malloc(size)),
            calloc=_TWO_SIZES(lambda _, count, size: self._calloc(count * size)),
            realloc=_REALLOC(lambda _, data, size: self._realloc(data, size)),
            free=_FREE(lambda _, data, __: self._free(data)),
        )
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self._capsule = new(ctypes.addressof(self._handler), b"mem_handler", None)
        self._set = _set_handler()

    def __enter__(self):
        self._old = self._set(self._capsule)
        return self

    def __exit__(self, *_):
        self._set(self._old)

    def _map(self, pages):
        """A new mapping, filled, beside a protected page."""
        length = (pages + 1) * PAGE
        base = _libc.mmap(
            None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            -1, 0,
        )  # fmt: skip
        first = base if self.edge == "end" else base + PAGE
        ctypes.memset(first, FILL, pages * PAGE)
        guard = base + pages * PAGE if self.edge == "end" else base
        assert _libc.mprotect(guard, PAGE, _PROT_NONE) == 0
        return first

    def _malloc(self, size):
        pages = -(-size // PAGE) or 1
        free = self._free_pages.setdefault(pages, [])
        first = free.pop() if free else self._map(pages)
        data = first + pages * PAGE - size if self.edge == "end" else first
        self._blocks[data] = first, pages, size
        return data

    def _calloc(self, size):
        data = self._malloc(size)
        ctypes.memset(data, 0, size)
        return data

    def _realloc(self, data, size):
        new = self._malloc(size)
        if data:
            ctypes.memmove(new, data, min(size, self._blocks[data][2]))
            self._free(data)
        return new

    def _free(self, data):
        if not data:
            return
        first, pages, size = self._blocks.pop(data)
        ctypes.memset(data, FILL, size)
        if ctypes.string_at(first, pages * PAGE) != _FILLED * pages:
            self.violations.append(f"beyond an array of {size} bytes")
            ctypes.memset(first, FILL, pages * PAGE)
        self.arrays += 1
        self._free_pages[pages].append(first)


def is_guarded(x, edge):
    """True if the data of the array `x` touch the edge of a page."""
    address = x.__array_interface__["data"][0]
    return (address + x.nbytes if edge == "end" else address) % PAGE == 0 and np.asarray(x).size > 0
