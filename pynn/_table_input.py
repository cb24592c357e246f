"""Tables, Series, tensors, lists and objects as arrays of numbers, or as errors with the cure.

No package but NumPy is imported: what an object is shows in its attributes.
"""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np

from pynn._checks import is_table, variable
from pynn._types import NUMBERS, Array, Role

TEXT = "UST"
# A table of several types is converted this many columns (a cache line of float64) and rows at a
# time, so that the lines it writes to stay in the cache.
COLUMNS, ROWS = 8, 4096


def numbers_of(x: Any, name: str, role: Role) -> Array:
    """Convert what is neither an array of numbers nor masked nor sparse (see `_array_input`)."""
    if is_table(x):
        return _from_table(x, name, role)
    part = _Part(name, role, getattr(x, "index", None))
    dtype = getattr(x, "dtype", None)
    if hasattr(x, "to_numpy") and not (dtype is None or isinstance(dtype, np.dtype)):
        return _from_series(x, part)
    if dtype is None and hasattr(x, "is_null") and (missing := np.asarray(x.is_null())).any():
        _refuse_missing(part, (int(missing.argmax()),))  # (of pyarrow)
    return _numbers(_converted(x, name), part, x)


@dataclass(frozen=True)
class _Part:
    """A whole argument, or a column of a table, as messages name it."""

    name: str
    role: Role
    index: Any = None  # the rows' labels, of a table
    column: Any = None
    of_table: bool = False
    refused: tuple[Any, ...] = ()  # all columns that hold no numbers

    @property
    def variable(self) -> str:
        own = variable(self.name)
        return f"{own}[{self.column!r}]" if self.of_table else own

    def place(self, position: tuple[int, ...]) -> str:
        """Where a value is: "in row 3, column 'age'"."""
        if not position:
            return ""
        row = f" in row {position[0]}"
        label = None
        if self.index is not None and not isinstance(self.index, range):
            try:
                label = self.index[position[0]]
            except (TypeError, IndexError, KeyError):
                label = position[0]
            if label != position[0]:
                row += f" (index {_plain(label)!r})"
        if self.of_table:
            return f"{row}, column {self.column!r}"
        if len(position) > 1:
            columns = ", ".join(map(str, position[1:]))
            return f"{row}, column {columns}"
        return row

    @property
    def in_column(self) -> str:
        return f" in column {self.column!r}" if self.of_table else ""

    @property
    def drop(self) -> str:
        """The end of a cure: to leave columns out."""
        if not self.of_table:
            return ""
        if not hasattr(self.index, "dtype"):
            return ", or leave the column out"
        columns = reprlib.repr([*(self.refused or (self.column,))])
        return f", or leave out what is no number, {variable(self.name)}.drop(columns={columns})"


def _plain(value: Any) -> Any:
    """A NumPy scalar as Python's own, which prints as a number; a tuple of them, too."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _converted(x: Any, name: str) -> Array:
    try:
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        if hasattr(x, "detach") and hasattr(x, "cpu"):
            number = ".float()" if "bfloat16" in str(x.dtype) else ""
            raise TypeError(
                f"{name} is a tensor that NumPy cannot read as it is (dtype {x.dtype}, device "
                f"{x.device}): {variable(name)}.detach().cpu(){number}.numpy()"
            ) from error
        _refuse_ragged(x, name)
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def _refuse_ragged(x: Any, name: str) -> None:
    """Refuse rows that differ in length."""
    if not isinstance(x, list | tuple) or not x:
        return
    lengths = [len(row) if hasattr(row, "__len__") else 1 for row in x]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            raise ValueError(
                f"{name} has rows of different lengths (an inhomogeneous shape): row 0 has "
                f"{lengths[0]} values, row {i} has {length}; expected as many in every row"
            )


# ---------------------------------------------------------------------- tables


def _from_table(x: Any, name: str, role: Role) -> Array:
    """Convert a DataFrame of pandas or polars, or what resembles one."""
    dtypes = [*x.dtypes]
    if dtypes and all(isinstance(d, np.dtype) and d.kind in NUMBERS for d in dtypes):
        kinds = {d.kind for d in dtypes}
        if "b" not in kinds or len(kinds) == 1:
            return np.asarray(x)
    labels = [*x.columns]
    index = getattr(x, "index", None)
    known = [_number_type(dtype) for dtype in dtypes]
    # All types are looked at before the first value is converted.
    types = [*zip(labels, dtypes, strict=True)]
    refused = tuple(
        label
        for (label, dtype), number in zip(types, known, strict=True)
        if number is None and dtype != np.dtype(object)
    )
    for label, dtype in types:
        _refuse_type(dtype, _Part(name, role, index, label, of_table=True, refused=refused))
    # (Objects may be numbers of any type.)
    result_type = np.result_type(*(np.float64 if t is None else t for t in known), np.bool_)
    result = np.empty((len(x), len(labels)), result_type)
    group: list[Array] = []
    for j, (label, column) in enumerate(zip(labels, _columns(x), strict=True)):
        part = _Part(name, role, index, label, of_table=True)
        group.append(_from_series(column, part))
        if len(group) == COLUMNS or j == len(labels) - 1:
            _fill(result[:, j + 1 - len(group) : j + 1], group)
            group = []
    return result


def _columns(x: Any) -> Iterator[Any]:
    if hasattr(x, "iter_columns"):
        yield from x.iter_columns()
    else:
        for _, column in x.items():
            yield column


def _fill(out: Array, columns: list[Array]) -> None:
    for start in range(0, len(out), ROWS):
        rows = slice(start, start + ROWS)
        for k, column in enumerate(columns):
            out[rows, k] = column[rows]


def _number_type(dtype: Any) -> np.dtype[Any] | None:
    """NumPy's type for a column's values, if they are numbers."""
    if not isinstance(dtype, np.dtype):
        for attribute in ("numpy_dtype", "subtype"):  # pandas' nullable, pyarrow and sparse types
            if isinstance(inner := getattr(dtype, attribute, None), np.dtype):
                dtype = inner
                break
        else:
            dtype = _POLARS.get(str(dtype))
    return dtype if isinstance(dtype, np.dtype) and dtype.kind in NUMBERS else None


_POLARS = {
    f"{word}{bits}": np.dtype(f"{letter}{bits // 8}")
    for word, letter, sizes in (
        ("Int", "i", (8, 16, 32, 64)),
        ("UInt", "u", (8, 16, 32, 64)),
        ("Float", "f", (32, 64)),
    )
    for bits in sizes
} | {"Boolean": np.dtype(bool)}


def _from_series(x: Any, part: _Part) -> Array:
    """Convert a Series, an Index or an extension array; a column of a table, too."""
    dtype = x.dtype
    _refuse_type(dtype, part)
    wanted = _number_type(dtype)
    if isinstance(dtype, np.dtype):
        values = np.asarray(x)
        return values if wanted is not None else _numbers(values, part, x)
    is_missing = np.asarray(x.is_null() if hasattr(x, "is_null") else x.isna(), bool)
    if is_missing.any():
        _refuse_missing(part, (int(is_missing.argmax()),))
    if wanted is None:
        return _numbers(np.asarray(x, object), part, x)
    values = np.asarray(x.to_numpy(), wanted)
    if wanted.kind == "f" and np.isnan(values).any():
        _refuse_missing(part, (int(np.isnan(values).argmax()),), "NaN")
    return values


def _refuse_type(dtype: Any, part: _Part) -> None:
    """Refuse a column of a type whose values are no numbers."""
    kind, name = getattr(dtype, "kind", ""), str(dtype)
    word = name.lower()
    if word.startswith(("categor", "enum", "dictionary")):
        if part.role == "labels":
            _refuse_text(part, f"categories (dtype {_short(name)})")
        code = "" if part.of_table else f"{part.variable}.cat.codes, or "
        raise TypeError(
            f"{part.name} holds categories{part.in_column} (dtype {_short(name)}), expected "
            f"numbers: {code}{_encode(part)}{part.drop}"
        )
    if (kind in "Mm" and kind) or word.startswith(
        ("datetime", "duration", "date", "time", "period")
    ):
        difference = kind == "m" or word.startswith(("duration", "timedelta"))
        start = part.variable if difference else f"({part.variable} - {part.variable}.min())"
        seconds = f"{start} / np.timedelta64(1, 's')"
        raise TypeError(
            f"{part.name} holds {'durations' if difference else 'dates'}{part.in_column} (dtype "
            f"{name}), expected numbers, such as seconds: {seconds}{part.drop}"
        )
    if word.startswith("interval"):
        raise TypeError(
            f"{part.name} holds intervals{part.in_column} (dtype {name}), expected numbers, such "
            f"as their middles: {part.variable}{'' if part.of_table else '.array'}.mid{part.drop}"
        )
    if kind == "c":
        raise TypeError(
            f"{part.name} holds complex numbers{part.in_column} (dtype {name}), expected real "
            f"numbers: np.real({part.variable}), np.abs({part.variable}){part.drop}"
        )
    if kind in tuple(TEXT) or word == "str" or word.startswith(("string", "large_string", "utf8")):
        if not part.of_table:
            return  # its values decide
        _refuse_text(part, f"text{part.in_column} (dtype {name})")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse_missing(part: _Part, position: tuple[int, ...], what: str = "") -> NoReturn:
    own = variable(part.name)
    cure = "replace it, or leave its row out"
    if hasattr(part.index, "dtype"):  # of pandas
        cure = f"replace it, {own}.fillna(value), or leave such rows out, {own}.dropna()"
    shown = f" ({what})" if what else ""
    raise ValueError(
        f"{part.name} has a missing value{shown}{part.place(position)}, expected numbers: {cure}"
    )


def _encode(part: _Part) -> str:
    own = variable(part.name)
    if part.of_table:
        return f"encode it, pandas.get_dummies({own}) or sklearn.preprocessing.OneHotEncoder"
    return "encode them, pandas.get_dummies or sklearn.preprocessing.OneHotEncoder"


def _refuse_text(part: _Part, what: str, *, numeric: bool = False) -> NoReturn:
    """Refuse text: labels have to be counted, categories to be encoded, numbers to be read."""
    own = part.variable
    if part.role == "labels":
        raise TypeError(
            f"{part.name} holds {what}, expected numbers, for classes integers: classes, labels = "
            f"np.unique({own}, return_inverse=True), or pynn.sklearn.MLPClassifier, which takes "
            "labels of any kind"
        )
    if numeric:
        cure = f"{own}.astype(float)" if part.of_table else f"np.asarray({own}, float)"
    elif part.role == "samples":
        cure = _encode(part) + part.drop
    elif part.role == "values":
        cure = "for classes make the network with loss='softmax_cross_entropy'"
    else:
        raise TypeError(f"{part.name} must hold numbers, got {what}")
    raise TypeError(f"{part.name} holds {what}, expected numbers: {cure}")


# --------------------------------------------------------------------- objects


def _numbers(values: Array, part: _Part, given: Any) -> Array:
    """Return values that are numbers, or refuse them by their type."""
    kind = values.dtype.kind
    if kind in NUMBERS:
        return values
    if kind == "O":
        return _from_objects(values, part, given)
    if kind in TEXT:
        _refuse_text_values(values, part)
    if kind == "V" and values.dtype.names:
        raise TypeError(
            f"{part.name} must hold numbers, got the structured dtype {values.dtype}: "
            f"numpy.lib.recfunctions.structured_to_unstructured({part.variable})"
        )
    _refuse_type(values.dtype, part)
    raise TypeError(f"{part.name} must hold numbers, got dtype {values.dtype}")


def _refuse_text_values(values: Array, part: _Part) -> NoReturn:
    if values.ndim == 0:
        raise TypeError(
            f"{part.name} must hold numbers, got the object {_shown(values.item())} (dtype "
            f"{values.dtype})"
        )
    for position in np.ndindex(values.shape):
        text = values[position]
        try:
            float(text)
        except ValueError:
            _refuse_text(
                part,
                f"text{part.place(position)} ({_shown(_plain(text))}, dtype {values.dtype})",
            )
    _refuse_text(part, f"text (numbers as text, dtype {values.dtype})", numeric=True)


def _from_objects(values: Array, part: _Part, given: Any) -> Array:
    """Convert objects that are real numbers; refuse the first that is none."""
    kinds = {*map(type, values.flat)}
    bad = tuple(kind for kind in kinds if not _is_number(kind))
    if bad:
        for position in np.ndindex(values.shape):
            if isinstance(value := values[position], bad) and not _is_number(type(value)):
                _refuse_object(value, position, values, part, given)
    whole = kinds and all(issubclass(kind, numbers.Integral | np.bool_) for kind in kinds)
    try:
        if whole:
            return values.astype(np.int64)
    except OverflowError:
        pass
    try:
        result = values.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{part.name} holds a number beyond float64{part.in_column}") from error
    except ValueError as error:  # a signaling NaN of Decimal
        raise ValueError(f"{part.name}{part.in_column}: {error}") from error
    if part.of_table and np.isnan(result).any():
        _refuse_missing(part, (int(np.isnan(result).argmax()),), "NaN")
    return result


def _is_number(kind: type) -> bool:
    return issubclass(kind, numbers.Real | np.bool_ | Decimal)


def _refuse_object(
    value: Any, position: tuple[int, ...], values: Array, part: _Part, given: Any
) -> NoReturn:
    kind = type(value).__name__
    if values.ndim == 0:
        what = "None" if value is None else f"{_shown(value)} of type {kind}"
        raise TypeError(f"{part.name} must hold numbers, got the object {what}")
    if value is None or kind in ("NAType", "NaTType"):
        _refuse_missing(part, position, str(value))
    if isinstance(value, str | bytes):
        _refuse_text(part, f"text{part.place(position)} ({_shown(value)}, dtype {values.dtype})")
    if isinstance(value, list | tuple | np.ndarray):
        _refuse_ragged(given if isinstance(given, list | tuple) else values.tolist(), part.name)
        raise TypeError(
            f"{part.name} holds a {kind}{part.place(position)} (dtype object), expected a number: "
            f"np.stack({part.variable})"
        )
    if isinstance(value, numbers.Complex):
        raise TypeError(
            f"{part.name} holds a complex number{part.place(position)} ({value}, dtype object), "
            f"expected real numbers: np.real({part.variable}), np.abs({part.variable}){part.drop}"
        )
    raise TypeError(
        f"{part.name} must hold numbers, got the object {_shown(value)} of type {kind}"
        f"{part.place(position)}{part.drop}"
    )


def _shown(value: Any) -> str:
    return reprlib.repr(value)
