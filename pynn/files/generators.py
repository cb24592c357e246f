"""The state of NumPy's random generators as JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Words(NamedTuple):
    """The form of an integer, or of an array of integers, in a state.

    Attributes
    ----------
    most : int
        The largest value; the smallest is 0.
    dtype : str
        The type of the array; "" for a single integer.
    length : int
    """

    most: int
    dtype: str = ""
    length: int = 1


FLAG, U32, U64, U128 = (Words(2**bits - 1) for bits in (1, 32, 64, 128))
# The half of a word that a draw of 32 bits leaves.
HALF: dict[str, Any] = {"has_uint32": FLAG, "uinteger": U32}
# The fields of each bit generator's `state`, and their ranges. NumPy does not check the positions
# of an assigned state, and wrong ones make it read outside of its arrays.
STATES: dict[str, dict[str, Any]] = {
    "PCG64": {"state": {"state": U128, "inc": U128}, **HALF},
    "PCG64DXSM": {"state": {"state": U128, "inc": U128}, **HALF},
    "MT19937": {"state": {"key": Words(2**32 - 1, "uint32", 624), "pos": Words(624)}},
    "Philox": {
        "state": {
            "counter": Words(2**64 - 1, "uint64", 4),
            "key": Words(2**64 - 1, "uint64", 2),
        },
        "buffer": Words(2**64 - 1, "uint64", 4),
        "buffer_pos": Words(4),
        **HALF,
    },
    "SFC64": {"state": {"state": Words(2**64 - 1, "uint64", 4)}, **HALF},
}


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator in values that JSON can hold.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    dict
        The bit generator's ``state``, with lists and ints for arrays and NumPy's integers.

    Raises
    ------
    ValueError
        If its bit generator is none of NumPy's.
    """
    bits = rng.bit_generator
    name = type(bits).__name__
    if name not in STATES or type(bits) is not getattr(np.random, name):
        raise ValueError(
            f"a file holds generators of the kinds {', '.join(STATES)}, but net.rng is one of the "
            f"kind {name}"
        )
    state: Any = bits.state
    return {"bit_generator": name, **_plain(state, STATES[name])}


def _plain(state: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain(state[name], field)
        if isinstance(field, dict)
        else np.asarray(state[name]).tolist()
        if field.dtype
        else int(state[name])
        for name, field in fields.items()
    }


def generator_from_state(state: Any) -> np.random.Generator:
    """Make a generator from the result of `generator_state`.

    Parameters
    ----------
    state : object
        Any JSON value; the function checks it.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        If it is not such a state.
    """
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if not isinstance(name, str) or name not in STATES:
        raise ValueError(f"the generator must be one of {', '.join(STATES)}, got {name!r:.40}")
    rest = {key: value for key, value in state.items() if key != "bit_generator"}
    checked = _checked(rest, STATES[name], f"the {name} generator's state")
    # These states repeat one number, with which rejection sampling never ends.
    if name.startswith("PCG64") and checked["state"]["inc"] % 2 == 0:
        raise ValueError(f"the {name} generator's increment must be odd")
    if name == "MT19937":
        key = checked["state"]["key"]
        if key[0] < 2**31 and not key[1:].any():
            raise ValueError("the MT19937 generator's key must not be 0")
    bits = getattr(np.random, name)(0)
    bits.state = {"bit_generator": name, **checked}
    return np.random.Generator(bits)


def _checked(state: Any, fields: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(state, dict) or state.keys() != fields.keys():
        raise ValueError(f"{name} must hold {', '.join(fields)}")
    result: dict[str, Any] = {}
    for key, field in fields.items():
        value = state[key]
        if isinstance(field, dict):
            result[key] = _checked(value, field, name)
            continue
        words = value if field.dtype else [value]
        if not isinstance(words, list) or len(words) != field.length:
            raise ValueError(f"{name}: {key} must be a list of {field.length} integers")
        if not all(type(word) is int and 0 <= word <= field.most for word in words):
            raise ValueError(f"{name}: {key} must hold integers from 0 to {field.most}")
        result[key] = np.array(words, field.dtype) if field.dtype else value
    return result
