"""The .npz container: a zip file of arrays in NumPy's format, and of the header as JSON.

`numpy.load` reads the arrays. This reader accepts only the writer's form: members that are stored,
not compressed, and arrays whose headers match one pattern. So it evaluates and unpickles nothing,
and checks the sizes before it allocates memory.
"""

from __future__ import annotations

import errno
import io
import math
import re
import sys
import zipfile
from typing import Any, BinaryIO

import numpy as np

from pynn._interrupts import interrupt_in, pass_on
from pynn._types import Array
from pynn.files.container import MOST_HEADER_BYTES, ArrayInfo

MAGIC = b"PK\x03\x04"
HEADER = "pynn.json"
# A header of the .npy format, version 1.0, in NumPy's form for arrays in C order.
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|][a-zA-Z]\d{1,4})', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n"
)
ENCRYPTED = 0x1
ZIP64_BYTES = 2**31 - 2**16
CHUNK_BYTES = 2**20
NPY_MAGIC = b"\x93NUMPY\x01\x00"
PREFIX_BYTES = len(NPY_MAGIC) + 2
GROWTH_DIGITS = 21


class WholeWrites:
    """A file object whose `write` writes all bytes.

    The `write` of an unbuffered file or of a socket may write fewer, and returns their number.

    Parameters
    ----------
    file : binary file object
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        """Write all bytes.

        Parameters
        ----------
        data : bytes-like

        Returns
        -------
        int
            The number of bytes.

        Raises
        ------
        OSError
            If the file accepts no more bytes.
        """
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            written = self._file.write(left)
            if written is None:
                if isinstance(self._file, io.RawIOBase):  # non-blocking
                    raise BlockingIOError(errno.EAGAIN, "the file object takes no more bytes now")
                break  # it reports no number: it wrote all
            if written <= 0:
                raise OSError(errno.EIO, f"the file object wrote {written} of {len(left)} bytes")
            left = left[written:]
        return size


class Archive(zipfile.ZipFile):
    """A zip file that writes nothing when it is garbage-collected after an exception."""

    def __del__(self) -> None:
        pass


def npy_header(array: Array) -> bytes:
    """Return the header of a C-contiguous array in an .npy file, version 1.0.

    It equals that of `numpy.lib.format`, which imports modules at every call. At the end of a
    process, when a ``__del__`` may save a network, no import works.

    Parameters
    ----------
    array : ndarray

    Returns
    -------
    bytes
    """
    shape = f"({', '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"
    text = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    # NumPy's padding: room for the first axis to grow, then to a multiple of 64 bytes.
    text += " " * ((GROWTH_DIGITS - len(str(array.shape[0]))) if array.ndim else 0)
    length = -(-(PREFIX_BYTES + len(text) + 1) // 64) * 64 - PREFIX_BYTES
    line = text.ljust(length - 1) + "\n"
    return NPY_MAGIC + length.to_bytes(2, "little") + line.encode("latin1")


def write(file: BinaryIO, header: str, arrays: dict[str, Array]) -> None:
    """Write the header and the arrays.

    Parameters
    ----------
    file : binary file object
    header : str
    arrays : dict of str to ndarray
        Little-endian, of any layout.
    """
    # ZipInfo has a fixed date, so that the same model gives the same bytes.
    archive = Archive(WholeWrites(file), "w", zipfile.ZIP_STORED)
    try:
        archive.writestr(zipfile.ZipInfo(HEADER), header)
        for name, array in arrays.items():
            large = array.nbytes > ZIP64_BYTES
            with archive.open(name + ".npy", "w", force_zip64=large) as member:
                whole = np.ascontiguousarray(array)
                member.write(npy_header(whole))
                member.write(whole.reshape(-1).view(np.uint8).data)
        archive.close()
    except BaseException:
        # Closing an unfinished file would raise another exception.
        archive.fp = None
        raise


class NpzContainer:
    """An .npz file to read.

    Parameters
    ----------
    file : binary file object
        Seekable.

    Attributes
    ----------
    header : str
    arrays : dict of str to ArrayInfo

    Raises
    ------
    ValueError
        If it is not a zip file, or not one of this kind.
    """

    def __init__(self, file: BinaryIO) -> None:
        size = file.seek(0, 2)
        self._archive = self._open(file)
        members = self._archive.infolist()
        names = {info.filename for info in members}
        if len(names) != len(members):
            raise ValueError("a member of the zip file occurs twice")
        for info in members:
            if info.flag_bits & ENCRYPTED:
                raise ValueError(f"member {info.filename!r} is encrypted")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise ValueError(
                    f"member {info.filename!r} is compressed; pynn stores them plainly"
                )
        claimed = sum(info.file_size for info in members)
        if claimed > size:
            raise ValueError(f"its members claim {claimed} bytes, but the file has {size}")
        if HEADER not in names:
            raise ValueError(f"there is no member {HEADER!r}: it was not written by MLP.save")
        self.header = self._read_header(self._archive.getinfo(HEADER))
        self.arrays: dict[str, ArrayInfo] = {}
        for info in members:
            if info.filename != HEADER:
                self._add(info)

    @staticmethod
    def _open(file: BinaryIO) -> zipfile.ZipFile:
        try:
            return Archive(file)
        except OSError as error:
            if (
                error.errno == errno.EINVAL and interrupt_in(error) is None
            ):  # a position before the file's start
                raise ValueError("the zip file's directory is damaged") from None
            raise
        except MemoryError:
            raise
        # zipfile trusts what it reads, and fails in many ways: BadZipFile, NotImplementedError,
        # UnicodeDecodeError, struct.error, ...
        except Exception as error:
            pass_on(error)
            raise ValueError(f"the zip file's directory is damaged: {error}") from None

    def _bytes(self, info: zipfile.ZipInfo, out: memoryview, skip: int = 0) -> None:
        """Fill `out` with the bytes of a member after the first `skip`."""
        position = -skip
        try:
            with self._archive.open(info) as member:
                member.read(skip)
                position = 0
                while position < len(out):
                    chunk = member.read(min(CHUNK_BYTES, len(out) - position))
                    if not chunk:
                        raise ValueError("the file ends too early")
                    out[position : position + len(chunk)] = chunk
                    position += len(chunk)
        except OSError as error:
            if error.errno == errno.EINVAL and interrupt_in(error) is None:
                raise ValueError(f"member {info.filename!r} is damaged") from None
            raise
        except MemoryError:
            raise
        except Exception as error:  # as above
            pass_on(error)
            raise ValueError(f"member {info.filename!r} is damaged: {error}") from None

    def _start(self, info: zipfile.ZipInfo, count: int) -> bytes:
        start = bytearray(min(count, info.file_size))
        self._bytes(info, memoryview(start))
        return bytes(start)

    def _read_header(self, info: zipfile.ZipInfo) -> str:
        if info.file_size > MOST_HEADER_BYTES:
            raise ValueError(
                f"the header has {info.file_size} bytes, more than {MOST_HEADER_BYTES}"
            )
        try:
            return self._start(info, info.file_size).decode()
        except UnicodeDecodeError as error:
            pass_on(error)
            raise ValueError(f"the header is not UTF-8: {error}") from None

    def _add(self, info: zipfile.ZipInfo) -> None:
        """Enter an array into the directory."""
        file_name = info.filename
        if not file_name.endswith(".npy"):
            raise ValueError(f"there is an unexpected member {file_name!r}")
        begin = self._start(info, len(NPY_MAGIC) + 2)
        if not begin.startswith(NPY_MAGIC) or len(begin) < len(NPY_MAGIC) + 2:
            raise ValueError(f"member {file_name!r} is not an array in NumPy's format 1.0")
        length = len(begin) + int.from_bytes(begin[-2:], "little")
        match = NPY_HEADER.fullmatch(self._start(info, length)[len(begin) :])
        if match is None:
            raise ValueError(f"member {file_name!r} is not a plain array of numbers in C's order")
        shape = tuple(int(n) for n in match[2].replace(b" ", b"").split(b",") if n)
        array = ArrayInfo(match[1].decode(), shape)
        expected = length + math.prod(shape) * int(array.dtype[2:])
        if info.file_size != expected:
            raise ValueError(
                f"member {file_name!r} has {info.file_size} bytes, but its shape {shape} and dtype "
                f"{array.dtype} make {expected}"
            )
        self.arrays[file_name.removesuffix(".npy")] = array

    def read(self, name: str, out: Array) -> None:
        """Read an array into `out`: C-contiguous, of its shape and type.

        Parameters
        ----------
        name : str
        out : ndarray

        Raises
        ------
        ValueError
            If the file is damaged there.
        """
        info = self._archive.getinfo(name + ".npy")
        self._bytes(info, out.reshape(-1).view(np.uint8).data, info.file_size - out.nbytes)
        if sys.byteorder == "big":
            out.byteswap(inplace=True)
