"""Tables, Series and tensors train to the bits of the same numbers in an array."""

import tracemalloc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from numpy_mlp import assert_same_bits, parameters_of

import pynn
from pynn import _array_input

RNG = np.random.default_rng(5)
ROWS = 5000  # more than are converted at a time
A, B = RNG.normal(size=(2, ROWS))
WHOLE = RNG.integers(-9, 9, size=ROWS)
FLAG = RNG.integers(2, size=ROWS).astype(bool)
Y = RNG.integers(3, size=ROWS)


def mixed():
    return pd.DataFrame({"a": A, "flag": FLAG, "b": B.astype("f4"), "whole": WHOLE})


def dummies(**options):
    color = RNG.choice(["red", "green", "blue"], size=ROWS)
    return pd.get_dummies(pd.DataFrame({"a": A, "color": color}), **options)


def nullable():
    return pd.DataFrame(
        {
            "i": pd.array(WHOLE, "Int64"),
            "u": pd.array(WHOLE % 8, "UInt8"),
            "f": pd.array(A, "Float64"),
            "b": pd.array(FLAG, "boolean"),
        }
    )


def objects():
    ours = [Decimal(i) / 4 if i % 2 else Fraction(i, 8) for i in range(ROWS)]
    return pd.DataFrame({"a": A, "o": pd.array(ours, object)})


TABLES = {
    "float, bool, int": mixed,
    "get_dummies": dummies,
    "sparse get_dummies": lambda: dummies(sparse=True),
    "nullable": nullable,
    "nullable float32": lambda: pd.DataFrame({"a": pd.array(A, "Float32"), "b": B}),
    "objects": objects,
    "labeled rows": lambda: mixed().set_index(pd.Index([f"row {i}" for i in range(ROWS)])),
    "names twice": lambda: pd.concat([mixed(), mixed()], axis=1),
    "many columns": lambda: pd.DataFrame({i: i / 9 < A if i % 3 else A * i for i in range(21)}),
    "slice": lambda: mixed().iloc[::-3],
    "int8 and float32": lambda: pd.DataFrame({"a": A.astype("f4"), "b": FLAG.astype("i1")}),
    "bool": lambda: pd.DataFrame({"a": FLAG, "b": ~FLAG}),
}


def check_bits(table, reference, dtype):
    """Train on both; predict, evaluate and go back with both."""
    assert reference.dtype == np.float64
    nets = [pynn.MLP([reference.shape[1], 5, 3], "tanh", dtype=dtype, seed=1) for _ in range(2)]
    y = Y[: len(reference)]
    for net, x in zip(nets, (table, reference), strict=True):
        net.fit(x, y, epochs=1, batch_size=64, optimizer=pynn.SGD(0.01), validation_data=(x, y))
    first, second = nets
    assert_same_bits(first, parameters_of(second))
    assert first.history["val_loss"] == second.history["val_loss"]
    assert first.evaluate(table, y) == second.evaluate(reference, y)
    np.testing.assert_array_equal(first(table), second(reference))
    np.testing.assert_array_equal(first.hidden(table), second.hidden(reference))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", TABLES.values(), ids=list(TABLES))
def test_a_table_is_its_numbers(make, dtype):
    table = make()
    check_bits(table, table.astype("float64").to_numpy(), dtype)


def test_values():
    large = RNG.integers(-(2**62), 2**62, size=ROWS)
    for table in (
        pd.DataFrame({"a": large, "b": A}),
        pd.DataFrame({"a": large, "b": FLAG}),
        pd.DataFrame({"a": pd.array(large, "Int64"), "b": A.astype("f4")}),
        pd.DataFrame({"a": pd.array(large.astype("u8"), "UInt64"), "b": large}),
    ):
        values = _array_input.array(table, "X")
        np.testing.assert_array_equal(values.astype("f8"), table.astype("float64").to_numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pyarrow(dtype):
    pytest.importorskip("pyarrow")
    for columns in ({}, {"a": "double[pyarrow]", "flag": "bool[pyarrow]"}):
        table = (
            mixed().astype(columns) if columns else mixed().convert_dtypes(dtype_backend="pyarrow")
        )
        check_bits(table, mixed().astype("float64").to_numpy(), dtype)
    for text in ("string[pyarrow]", pd.ArrowDtype(__import__("pyarrow").string())):
        table = mixed().assign(name=pd.array(["x"] * ROWS, text))
        with pytest.raises(TypeError, match=r"^X holds text in column 'name' .*get_dummies"):
            pynn.MLP([5, 3]).fit(table, Y)
    holes = mixed().assign(a=pd.array([1.0, 2.0, None, 3.0] * (ROWS // 4), "double[pyarrow]"))
    with pytest.raises(ValueError, match=r"^X has a missing value in row 2, column 'a'"):
        pynn.MLP([4, 3]).fit(holes, Y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_polars(dtype):
    polars = pytest.importorskip("polars")
    frame = {"a": A, "flag": FLAG, "b": B.astype("f4"), "whole": WHOLE}
    check_bits(polars.DataFrame(frame), mixed().astype("float64").to_numpy(), dtype)
    assert _array_input.array(polars.Series("y", Y), "y").dtype == np.int64
    with pytest.raises(TypeError, match=r"^X holds text in column 'c' \(dtype String\)"):
        pynn.MLP([2, 3]).fit(polars.DataFrame({"a": [1.0], "c": ["x"]}), [0])
    with pytest.raises(ValueError, match=r"^X has a missing value in row 1, column 'a'"):
        pynn.MLP([1, 3]).fit(polars.DataFrame({"a": [1.0, None]}), [0, 1])
    with pytest.raises(TypeError, match=r"^y holds text in row 0 .*np\.unique\(y, "):
        pynn.MLP([1, 3]).fit([[1.0], [2.0]], polars.Series(["x", "y"]))


def test_targets_and_weights():
    X = RNG.normal(size=(ROWS, 2))
    weight = np.arange(ROWS) % 5
    expected = pynn.MLP([2, 3], seed=0)
    expected.fit(X, Y, sample_weight=weight)
    for y, w in (
        (pd.Series(Y, dtype="Int64"), pd.Series(weight, dtype="Float64")),
        (pd.Series(Y, dtype="Int8", index=np.arange(ROWS)[::-1]), pd.Series(weight)),
        (pd.Series(Y).astype(object), pd.Index(weight)),
        (pd.array(Y, "UInt16"), pd.array(weight, "Int32")),
        (Y.tolist(), weight.astype(object)),
    ):
        net = pynn.MLP([2, 3], seed=0)
        net.fit(X, y, sample_weight=w)
        assert_same_bits(net, parameters_of(expected))
    one_hot = pynn.MLP([2, 3], seed=0)
    one_hot.fit(X, pd.get_dummies(pd.Series(Y)), sample_weight=weight)
    again = pynn.MLP([2, 3], seed=0)
    again.fit(X, np.eye(3)[Y], sample_weight=weight)
    assert_same_bits(one_hot, parameters_of(again))
    values = [pynn.MLP([2, 2], loss="mse", seed=0) for _ in range(2)]
    for net, y in zip(values, (pd.DataFrame({"a": A, "flag": FLAG}), np.c_[A, FLAG]), strict=True):
        net.fit(X, y)
    assert_same_bits(values[0], parameters_of(values[1]))


def test_many_networks_share_one_conversion(monkeypatch):
    table, nets = mixed(), [pynn.MLP([4, 3], seed=i) for i in range(3)]
    taken = []
    own = _array_input.array

    def array(x, name, role="numbers"):
        if isinstance(x, pd.DataFrame):
            taken.append(name)
        return own(x, name, role)

    monkeypatch.setattr(_array_input, "array", array)
    result = pynn.fit_many(nets, table, Y, validation_data=(table, Y), cv=None)
    assert taken == ["X", "validation_data[0]"]
    alone = pynn.MLP([4, 3], seed=1)
    reference = table.astype("float64").to_numpy()
    alone.fit(reference, Y, validation_data=(reference, Y))
    assert_same_bits(result.models[1], parameters_of(alone))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(RNG.normal(size=(500, 3)).astype("f4")),
        pd.DataFrame(RNG.normal(size=(500, 3))),
        pd.DataFrame(RNG.integers(9, size=(500, 3))),
        pd.Series(A),
        pd.DataFrame(FLAG.reshape(-1, 2)),
    ],
    ids=["float32", "float64", "int64", "series", "bool"],
)
def test_one_type_is_not_copied(table):
    array = _array_input.array(table, "X")
    assert array.dtype == table.to_numpy().dtype
    assert np.shares_memory(array, table.to_numpy())


def test_memory_of_a_conversion():
    rows, columns = 5000, 60  # of objects, whose conversions are copies
    frame = pd.DataFrame({i: pd.array(A.tolist(), object) for i in range(columns)})
    tracemalloc.start()
    try:
        array = _array_input.array(frame, "X")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The result, and a few columns.
    assert peak < array.nbytes + 20 * rows * 8


def test_arrays_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    for given in (pa.array([1, 2, 3]), pa.chunked_array([[1], [2, 3]])):
        values = _array_input.array(given, "y", "labels")
        assert (values.dtype, values.tolist()) == (np.int64, [1, 2, 3])
    for given in (pa.array([1, None, 3]), pa.chunked_array([[1], [None, 3]])):
        with pytest.raises(ValueError, match=r"^y has a missing value in row 1, expected numbers"):
            _array_input.array(given, "y", "labels")


def test_intervals_and_other_oddities():
    frame = mixed()[:2].assign(i=pd.interval_range(0, 2))
    with pytest.raises(TypeError, match=r"^X holds intervals in column 'i' .*: X\['i'\]\.mid, or"):
        _array_input.array(frame, "X", "samples")
    with pytest.raises(TypeError, match=r"^X holds intervals .*: X\.array\.mid$"):
        _array_input.array(frame["i"], "X", "samples")
    assert frame["i"].array.mid.tolist() == [0.5, 1.5]
    with pytest.raises(ValueError, match=r"^X: cannot convert signaling NaN"):
        _array_input.array([[Decimal("sNaN")]], "X", "samples")
    frame = pd.DataFrame(
        {"a": pd.array([1, None], "Int64")}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)])
    )
    with pytest.raises(ValueError, match=r"in row 1 \(index \(3, 4\)\), column 'a'"):
        _array_input.array(frame, "X", "samples")
