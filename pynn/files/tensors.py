"""The .safetensors container, written and read by the package of that name.

The metadata hold the header as one entry: several entries have no fixed order, but the same model
is to give the same bytes. The format has no checksum, so the header begins with a checksum of
itself and of the arrays.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, BinaryIO

import numpy as np

from pynn._types import Array
from pynn.files.container import MOST_HEADER_BYTES, ArrayInfo, parse_json

HEADER = "pynn"
CHECKED = re.compile(r'\{"crc32": "([0-9a-f]{8})", ')
DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U64": "<u8"}
# The directory of the arrays takes about 100 bytes for each of them.
MOST_DIRECTORY_BYTES = 4 * MOST_HEADER_BYTES


def _package() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            ".safetensors files need the package safetensors: pip install safetensors"
        ) from error
    return safetensors


def _checksum(header: str, arrays: dict[str, Any]) -> str:
    crc = zlib.crc32(header.encode())
    for name in sorted(arrays):
        crc = zlib.crc32(arrays[name], crc)
    return f"{crc:08x}"


def write(file: BinaryIO, header: str, arrays: dict[str, Array]) -> None:
    """Write the header and the arrays.

    Parameters
    ----------
    file : binary file object
    header : str
        The JSON text of an object that is not empty.
    arrays : dict of str to ndarray
        Little-endian, of any layout.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    """
    package = _package()
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    checksum = _checksum(header, plain)
    checked = f'{{"crc32": "{checksum}", {header[1:]}'
    file.write(package.numpy.save(plain, {HEADER: checked}))


class TensorsContainer:
    """A .safetensors file to read.

    Parameters
    ----------
    file : binary file object

    Attributes
    ----------
    header : str
    arrays : dict of str to ArrayInfo

    Raises
    ------
    ValueError
        If the file is of another kind, or was not written by pynn, or is damaged.
    ImportError
        If safetensors is not installed.
    """

    def __init__(self, file: BinaryIO) -> None:
        package = _package()
        file.seek(0)
        data = file.read()
        checked = self._metadata(data).get(HEADER)
        if checked is None:
            raise ValueError(f"its metadata have no {HEADER!r}: it was not written by MLP.save")
        match = CHECKED.match(checked)
        if match is None:
            raise ValueError("the header does not begin with a checksum")
        self.header = "{" + checked[match.end() :]
        try:
            entries = package.deserialize(data)
        except package.SafetensorError as error:
            raise ValueError(f"the safetensors file is damaged: {error}") from None
        self._data = {name: entry["data"] for name, entry in entries}
        self.arrays = {
            name: ArrayInfo(DTYPES.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"]))
            for name, entry in entries
        }
        if _checksum(self.header, self._data) != match[1]:
            raise ValueError("the checksum is wrong: the file is damaged")

    @staticmethod
    def _metadata(data: bytes) -> dict[str, str]:
        """Return the metadata, which the package gives only for files with a path."""
        length = int.from_bytes(data[:8], "little")
        if length > len(data) - 8:
            raise ValueError(
                f"its beginning announces a directory of {length} bytes, but the file has "
                f"{len(data)}"
            )
        if length > MOST_DIRECTORY_BYTES:
            raise ValueError(f"the directory has {length} bytes, more than {MOST_DIRECTORY_BYTES}")
        directory = parse_json(data[8 : 8 + length], "the directory")
        metadata = directory.get("__metadata__", {}) if isinstance(directory, dict) else None
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise ValueError("the safetensors file's directory is damaged")
        return metadata

    def read(self, name: str, out: Array) -> None:
        """Read an array into `out`: C-contiguous, of its shape and type.

        Parameters
        ----------
        name : str
        out : ndarray
        """
        values = np.frombuffer(self._data[name], out.dtype.newbyteorder("<"))
        out[...] = values.reshape(out.shape)
