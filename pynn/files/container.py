"""The interface of both kinds of files: the header, a text, and named arrays."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol

from pynn._interrupts import pass_on
from pynn._types import Array

# The header holds sizes and settings, no parameters. Ten thousand layers need 0.4 MB.
MOST_HEADER_BYTES = 2**22
# A generator's integers of 128 bits have 39 digits. The time to parse a number is quadratic.
MOST_DIGITS = 40


class ArrayInfo(NamedTuple):
    """An array's type and shape, as a file gives them before the array is read.

    Attributes
    ----------
    dtype : str
        NumPy's text, byte order included: "<f4".
    shape : tuple of int
    """

    dtype: str
    shape: tuple[int, ...]


class Container(Protocol):
    """An open file whose directory has been read and agrees with the file's size.

    Attributes
    ----------
    header : str
    arrays : dict of str to ArrayInfo
    """

    header: str
    arrays: dict[str, ArrayInfo]

    def read(self, name: str, out: Array) -> None:
        """Read an array into `out`: C-contiguous, of its shape and type."""


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the value of an untrusted JSON text.

    Parameters
    ----------
    text : str or bytes
    name : str
        The name of the text, for the message.

    Returns
    -------
    object
        NaN and infinities are read as Python writes them. Repeated names are refused.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:  # JSON's and Unicode's errors are ValueErrors
        pass_on(error)
        raise ValueError(f"{name} is not valid JSON: {error}") from None


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
