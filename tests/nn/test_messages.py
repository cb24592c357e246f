"""Each error of data that does not fit names the argument, what came, and the cure.

A row of a table below is a call, its exception, and a regular expression of the message.
"""

import datetime
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy_mlp import assert_same_bits, parameters_of

import pynn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype(np.float32)
Y = np.arange(20) % 3
BITS = np.arange(20) % 2
VALUES = RNG.normal(size=20)
FRAME = pd.DataFrame(X, columns=list("abcd"))
LABELS = pd.Series(Y, name="species")
MASKED = np.ma.masked_greater(X, 1.0)
HIDDEN = int(MASKED.mask.sum())


def classifier():
    return pynn.MLP([4, 6, 3], seed=0)


def detector():
    return pynn.MLP([4, 6, 1], loss="sigmoid_cross_entropy", seed=0)


def regressor(outputs=1, loss="mse"):
    return pynn.MLP([4, 6, outputs], loss=loss, seed=0)


def pinball():
    return regressor(3, pynn.Pinball([0.1, 0.5, 0.9]))


def changed(column, values):
    """FRAME with another column's values."""
    return FRAME.astype(float).assign(**{column: values})


def masked(values):
    return np.ma.masked_equal(values, np.asarray(values).flat[1])


def fit_x(x, make=classifier):
    return lambda: (make(), lambda net: net.fit(x, Y))


def fit_y(y, make=classifier):
    return lambda: (make(), lambda net: net.fit(X, y))


def call(function, make=classifier):
    return lambda: (make(), function)


def table(**cases):
    return pytest.mark.parametrize(("case", "exception", "says"), cases.values(), ids=list(cases))


def check(case, exception, says):
    net, function = case()
    before, state = parameters_of(net), net.rng.bit_generator.state
    with pytest.raises(exception) as caught:
        function(net)
    assert caught.type is exception
    message = str(caught.value)
    assert re.search(says, message), message
    assert_same_bits(net, before)
    assert net.rng.bit_generator.state == state
    assert net.history is None


TEXT = ["red", "green", "blue", "red"] * 5


@table(
    text_column=(
        fit_x(changed("b", TEXT)),
        TypeError,
        r"^X holds text in column 'b' \(dtype (str|object).*\), expected numbers: .*"
        r"pandas\.get_dummies\(X\).*OneHotEncoder.*X\.drop\(columns=\['b'\]\)",
    ),
    text_columns=(
        fit_x(changed("b", pd.array(TEXT, "string")).assign(d=pd.array(TEXT, "category"))),
        TypeError,
        r"^X holds text in column 'b' \(dtype string\).*X\.drop\(columns=\['b', 'd'\]\)",
    ),
    object_column=(
        fit_x(changed("b", pd.array([1, "x"] * 10, object))),
        TypeError,
        r"^X holds text in row 1, column 'b' \('x', dtype object\).*get_dummies",
    ),
    categories=(
        fit_x(changed("c", pd.Categorical(TEXT))),
        TypeError,
        r"^X holds categories in column 'c' \(dtype category\).*get_dummies.*OneHotEncoder.*drop",
    ),
    dates=(
        fit_x(changed("c", pd.date_range("2020-01-01", periods=20))),
        TypeError,
        r"^X holds dates in column 'c' \(dtype datetime64\[.s\]\).*"
        r"\(X\['c'\] - X\['c'\]\.min\(\)\) / np\.timedelta64\(1, 's'\).*drop",
    ),
    dates_with_zone=(
        fit_x(changed("c", pd.date_range("2020-01-01", periods=20, tz="UTC"))),
        TypeError,
        r"^X holds dates in column 'c' \(dtype datetime64\[.s, UTC\]\)",
    ),
    periods=(
        fit_x(changed("c", pd.period_range("2020-01", periods=20, freq="M"))),
        TypeError,
        r"^X holds dates in column 'c' \(dtype period\[M\]\)",
    ),
    durations=(
        fit_x(changed("c", pd.to_timedelta(np.arange(20), unit="s"))),
        TypeError,
        r"^X holds durations in column 'c' .*X\['c'\] / np\.timedelta64\(1, 's'\)",
    ),
    complex_column=(
        fit_x(changed("c", VALUES * 1j)),
        TypeError,
        r"^X holds complex numbers in column 'c' \(dtype complex128\).*np\.real\(X\['c'\]\)",
    ),
    day_objects=(
        fit_x(changed("c", pd.array([datetime.date(2020, 1, 1)] * 20, object))),
        TypeError,
        r"^X must hold numbers, got the object datetime\.date.* in row 0, column 'c'.*drop",
    ),
    missing=(
        fit_x(changed("d", pd.array([1, 2, None, 3] * 5, "Int64"))),
        ValueError,
        r"^X has a missing value in row 2, column 'd'.*X\.fillna\(value\).*X\.dropna\(\)",
    ),
    missing_flag=(
        fit_x(changed("d", pd.array([True, None] * 10, "boolean"))),
        ValueError,
        r"^X has a missing value in row 1, column 'd'",
    ),
    missing_label_of_row=(
        fit_x(changed("d", pd.array([1, None] * 10, "Float64")).set_axis([*"abcde"] * 4)),
        ValueError,
        r"^X has a missing value.* in row 1 \(index 'b'\), column 'd'",
    ),
    missing_object=(
        fit_x(changed("d", pd.array([1.5, None] * 10, object))),
        ValueError,
        r"^X has a missing value.* in row 1, column 'd'",
    ),
    missing_in_list=(
        fit_x([[1, 2, 3, 4], [1, None, 3, 4]]),
        ValueError,
        r"^X has a missing value \(None\) in row 1, column 1, expected numbers: replace it",
    ),
    masked=(
        fit_x(MASKED),
        ValueError,
        rf"^X has {HIDDEN} masked values: .*X\.filled\(value\).*X\.data\[~X\.mask\.any\(axis=1\)\]",
    ),
    masked_row_in_list=(
        fit_x([*X[:-1], masked(X[-1])]),
        ValueError,
        r"^X\[19\] has 1 masked value: .*X\[19\]\.filled\(value\).*X\[19\]\.compressed\(\)",
    ),
    masked_value_in_list=(
        fit_x([[1.0, 2.0, 3.0, np.ma.masked]]),
        ValueError,
        r"^X\[0\]\[3\] has 1 masked value: .*filled\(value\)",
    ),
    numbers_as_text=(
        fit_x(X.astype(str)),
        TypeError,
        r"^X holds text \(numbers as text, dtype <U\d+\), .*: np\.asarray\(X, float\)",
    ),
    words=(
        fit_x([["1", "2", "3", "x"]]),
        TypeError,
        r"^X holds text in row 0, column 3 \('x', dtype <U1\).*get_dummies",
    ),
    bytes=(fit_x(np.full((20, 4), b"x")), TypeError, r"^X holds text in row 0, column 0 \(b'x'"),
    complex=(
        fit_x(X * 1j),
        TypeError,
        r"^X holds complex numbers \(dtype complex64\), .* real .*np\.real\(X\), np\.abs\(X\)",
    ),
    complex_object=(
        fit_x(np.full((20, 4), 1j, object)),
        TypeError,
        r"^X holds a complex number in row 0, column 0 .*np\.real\(X\)",
    ),
    dates_array=(
        fit_x(np.zeros((20, 4), "M8[s]")),
        TypeError,
        r"^X holds dates \(dtype datetime64\[s\]\).*\(X - X\.min\(\)\) / np\.timedelta64",
    ),
    structured=(
        fit_x(np.zeros(20, [("a", "f4"), ("b", "f4")])),
        TypeError,
        r"^X must hold numbers, got the structured dtype .*structured_to_unstructured\(X\)",
    ),
    ragged=(
        fit_x([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3]]),
        ValueError,
        r"^X has rows of different lengths .*row 0 has 4 values, row 2 has 3",
    ),
    arrays_in_array=(
        fit_x(pd.Series([*X])),
        TypeError,
        r"^X holds a ndarray in row 0 \(dtype object\).*np\.stack\(X\)",
    ),
    none=(fit_x(None), TypeError, r"^X must hold numbers, got the object None"),
    path=(fit_x("iris.csv"), TypeError, r"^X must hold numbers, got the object 'iris\.csv'"),
    too_large=(fit_x([[10**400, 1, 1, 1]]), ValueError, r"^X holds a number beyond float64"),
    one_sample=(fit_x(X[0]), ValueError, r"^X has shape \(4,\).*one sample: X\.reshape\(1, -1\)"),
    one_sample_list=(fit_x([1.0] * 4), ValueError, r"^X .*np\.asarray\(X\)\.reshape\(1, -1\)"),
    one_input=(
        call(lambda net: net.fit(X[:, 0], Y), lambda: pynn.MLP([1, 3])),
        ValueError,
        r"^X has shape \(20,\), expected \(n, 1\).*X\.reshape\(-1, 1\)",
    ),
    one_input_frame=(
        call(lambda net: net(FRAME["a"]), lambda: pynn.MLP([1, 3])),
        ValueError,
        r"^X has shape \(20,\), .*X\.to_numpy\(\)\.reshape\(-1, 1\)",
    ),
    images=(
        fit_x(X.reshape(20, 2, 2)),
        ValueError,
        r"^X has shape \(20, 2, 2\), expected \(n, 4\).*X\.reshape\(len\(X\), -1\)",
    ),
    one_image=(
        call(lambda net: net.predict(np.ones((2, 2)))),
        ValueError,
        r"^X has shape \(2, 2\), expected \(n, 4\) or \(4,\).*X\.reshape\(1, -1\)",
    ),
    turned=(fit_x(X.T), ValueError, r"^X has shape \(4, 20\), expected \(n, 4\).*: X\.T"),
    a_column_more=(
        fit_x(np.column_stack([X, Y])),
        ValueError,
        r"^X has shape \(20, 5\), expected \(n, 4\); is the target.* among the columns\?",
    ),
    swapped=(
        call(lambda net: net.fit(Y, X)),
        ValueError,
        r"^X has shape \(20,\), expected \(n, 4\); are the samples and the targets swapped\?",
    ),
    swapped_one_hot=(
        call(lambda net: net.fit(np.eye(3)[Y], X)),
        ValueError,
        r"^X has shape \(20, 3\), expected \(n, 4\); are the samples and the targets swapped\?",
    ),
    empty=(fit_x([]), ValueError, r"^X has shape \(0,\), expected \(n, 4\); there are no samples"),
    no_rows=(fit_x(X[:0]), ValueError, r"^X has shape \(0, 4\): there are no samples"),
)
def test_samples(case, exception, says):
    check(case, exception, says)


UNIQUE = r"classes, labels = np\.unique\({}, return_inverse=True\).*pynn\.sklearn\.MLPClassifier"


@table(
    text=(fit_y(TEXT), TypeError, r"^y holds text in row 0 \('red'.*" + UNIQUE.format("y")),
    text_series=(
        fit_y(pd.Series(TEXT)),
        TypeError,
        r"^y holds text in row 0 \('red'.*" + UNIQUE.format("y"),
    ),
    text_frame=(
        fit_y(pd.DataFrame({"color": TEXT})),
        TypeError,
        r"^y holds text in column 'color'.*" + UNIQUE.format(r"y\['color'\]"),
    ),
    digits_as_text=(fit_y(Y.astype(str)), TypeError, r"^y holds text.*" + UNIQUE.format("y")),
    categories=(
        fit_y(pd.Series(TEXT, dtype="category")),
        TypeError,
        r"^y holds categories \(dtype category\).*" + UNIQUE.format("y"),
    ),
    missing=(
        fit_y(pd.array([0, 1, None, 2] * 5, "Int64")),
        ValueError,
        r"^y has a missing value in row 2",
    ),
    text_of_regression=(
        fit_y(TEXT, regressor),
        TypeError,
        r"^y holds text in row 0 .*loss='softmax_cross_entropy'",
    ),
    sparse=(
        fit_y(scipy.sparse.csr_matrix(np.eye(3)[Y])),
        TypeError,
        r"^y is sparse \(shape \(20, 3\)\), expected a dense array: y\.toarray\(\)",
    ),
    sparse_array=(fit_y(scipy.sparse.coo_array(np.eye(3)[Y])), TypeError, r"y\.toarray\(\)"),
    masked=(fit_y(masked(Y)), ValueError, r"^y has 7 masked values.*y\.compressed\(\)"),
    none=(fit_y(None), TypeError, r"^y is missing: pass fit\(X, y\)"),
    complex=(fit_y(Y * 1j), TypeError, r"^y holds complex numbers.*np\.real\(y\)"),
    whole_floats=(
        fit_y(Y * 1.0),
        TypeError,
        r"^y is a vector of dtype float64; .*integer class labels.*; y\.astype\(int\)$",
    ),
    whole_floats_list=(fit_y((Y * 1.0).tolist()), TypeError, r"; np\.asarray\(y\)\.astype\(int\)$"),
    whole_floats_series=(
        fit_y(LABELS.astype(float)),
        TypeError,
        r"; y\.to_numpy\(\)\.astype\(int\)$",
    ),
    floats=(fit_y(VALUES), TypeError, r"^y is a vector of dtype float64.*regression.*loss='mse'"),
    nan=(
        fit_y(np.where(Y == 1, np.nan, Y)),
        TypeError,
        r"^y is a vector of dtype float64; .*y is NaN in row 1: leave it out",
    ),
    from_one=(fit_y(Y + 1), ValueError, r"^y holds labels from 1 to 3, expected 0 to 2.*: y - 1$"),
    signs=(fit_y(2 * BITS - 1), ValueError, r"^y .* from -1 to 1.*: \(y > 0\)\.astype\(int\)$"),
    gaps=(fit_y(Y * 10), ValueError, r"^y holds labels from 0 to 20.*np\.unique\(y, return_inv"),
    too_many=(
        fit_y(np.arange(20) % 5),
        ValueError,
        r"^y holds labels from 0 to 4, expected 0 to 2 .*make the network with 5 outputs",
    ),
    bit_signs=(
        fit_y(2 * BITS - 1, detector),
        ValueError,
        r"^y holds values from -1 to 1, expected prob.*: \(y > 0\)\.astype\(int\)$",
    ),
    bits_from_one=(fit_y(BITS + 1, detector), ValueError, r"^y .* labels 1 and 2: y == 2$"),
    classes_of_one_output=(
        fit_y(Y, detector),
        ValueError,
        r"^y holds values from 0 to 2.*3 outputs and loss='softmax_cross_entropy'",
    ),
    values_of_one_output=(fit_y(VALUES, detector), ValueError, r"^y .*regression\?.*loss='mse'"),
    forgotten_loss=(
        fit_y(RNG.normal(size=(20, 3))),
        ValueError,
        r"^y holds values from .*, expected probabilities.*regression\?.*loss='mse'",
    ),
    forgotten_loss_column=(
        fit_y(VALUES[:, None]),
        ValueError,
        r"^y has shape \(20, 1\), .*regression\?.*one output and loss='mse'",
    ),
    nan_probabilities=(
        fit_y(np.full((20, 3), np.nan)),
        ValueError,
        r"^y holds values from nan .*NaN in row 0, column 0",
    ),
    column=(
        fit_y(Y[:, None]),
        ValueError,
        r"^y has shape \(20, 1\), .*pass a vector, y\.ravel\(\)",
    ),
    column_list=(fit_y(Y[:, None].tolist()), ValueError, r"vector, np\.asarray\(y\)\.ravel\(\)"),
    column_frame=(
        fit_y(LABELS.to_frame()),
        ValueError,
        r"^y has shape \(20, 1\), .*y\.to_numpy\(\)\.ravel\(\) or y\['species'\]",
    ),
    column_of_floats=(
        fit_y(Y[:, None] * 1.0),
        ValueError,
        r"^y has shape \(20, 1\), .*integers, y\.ravel\(\)\.astype\(int\)",
    ),
    columns=(fit_y(np.eye(5)[Y]), ValueError, r"^y has shape \(20, 5\).*network with 5 outputs"),
    one_hot_of_one_output=(
        fit_y(np.eye(3)[Y], detector),
        ValueError,
        r"^y has shape \(20, 3\).*one-hot\? Make the network with 3 outputs",
    ),
    row=(fit_y(Y[None]), ValueError, r"^y has 1 rows .*, expected 20, as X has; .*y\.ravel\(\)"),
    turned=(fit_y(np.eye(3)[Y].T), ValueError, r"^y has 3 rows .*expected 20, as X has; .*: y\.T"),
    short=(fit_y(Y[1:]), ValueError, r"^y has 19 rows \(shape \(19,\)\), expected 20, as X has"),
    long=(fit_y([*Y, 0]), ValueError, r"^y has 21 rows \(shape \(21,\)\), expected 20, as X has"),
    labels_of_values=(
        fit_y(Y, lambda: regressor(3)),
        ValueError,
        r"^y has shape \(20,\), expected \(20,3\).*class labels\?.*loss='softmax_cross_entropy'",
    ),
    one_target=(
        fit_y(VALUES, lambda: regressor(3)),
        ValueError,
        r"^y has shape \(20,\), .*one output; .*np\.repeat\(y\.reshape\(-1, 1\), 3, axis=1\)$",
    ),
    pinball=(
        fit_y(VALUES, pinball),
        ValueError,
        r"^y has shape \(20,\), .*quantile.*np\.repeat\(y\.reshape\(-1, 1\), 3, axis=1\)$",
    ),
    pinball_column=(
        fit_y(VALUES[:, None], pinball),
        ValueError,
        r"^y has shape \(20, 1\), .*np\.repeat\(y, 3, axis=1\)$",
    ),
    negative_counts=(
        fit_y(VALUES, lambda: regressor(1, "poisson")),
        ValueError,
        r"^y holds values down to -.*, expected counts of at least 0 .*loss='mse'",
    ),
)
def test_targets(case, exception, says):
    check(case, exception, says)


def fit(**options):
    return lambda net: net.fit(X, Y, **options)


@table(
    weights_column=(
        call(fit(sample_weight=np.ones((20, 1)))),
        ValueError,
        r"^sample_weight has shape \(20, 1\), expected \(20,\); .*sample_weight\.ravel\(\)",
    ),
    weights_frame=(
        call(fit(sample_weight=pd.DataFrame({"w": np.ones(20)}))),
        ValueError,
        r"^sample_weight .*sample_weight\.to_numpy\(\)\.ravel\(\) or sample_weight\['w'\]",
    ),
    weights_number=(call(fit(sample_weight=1.0)), ValueError, r"leave sample_weight out"),
    weights_dict=(
        call(fit(sample_weight={0: 1.0})),
        TypeError,
        r"^sample_weight must hold a number for each sample, got \{0: 1\.0\}.*class_weight",
    ),
    weights_nan=(
        call(fit(sample_weight=np.where(Y == 2, np.nan, 1.0))),
        ValueError,
        r"^sample_weight must hold finite values of at least 0, got nan in row 2",
    ),
    weights_masked=(
        call(fit(sample_weight=np.ma.masked_equal(Y, 1))),
        ValueError,
        r"^sample_weight has 7 masked values.*sample_weight\.filled",
    ),
    weights_missing=(
        call(fit(sample_weight=pd.Series([1, None] * 10, dtype="Float64"))),
        ValueError,
        r"^sample_weight has a missing value in row 1",
    ),
    class_key=(
        call(fit(class_weight={3: 2.0})),
        ValueError,
        r"^class_weight has the key 3, expected classes from 0 to 2",
    ),
    class_key_of_one_output=(
        call(lambda net: net.fit(X, BITS, class_weight={2: 2.0}), detector),
        ValueError,
        r"^class_weight has the key 2, expected classes from 0 to 1",
    ),
    class_key_text=(
        call(fit(class_weight={"red": 2.0})),
        TypeError,
        r"^class_weight's key must be an integer, got 'red'",
    ),
    class_list=(
        call(fit(class_weight=[1, 2, 3])),
        TypeError,
        r"^class_weight must be 'balanced' or a dict, got \[1, 2, 3\]: dict\(enumerate\(class_weig",
    ),
    class_values=(
        call(lambda net: net.fit(X, VALUES, class_weight="balanced"), regressor),
        ValueError,
        r"^class_weight needs classes, but loss='mse' .*sample_weight",
    ),
    validation_array=(
        call(fit(validation_data=X)),
        TypeError,
        r"^validation_data must be a tuple \(X, y\) or .*, got an object of type ndarray",
    ),
    validation_one=(call(fit(validation_data=(X,))), TypeError, r"^valid.*got a tuple of length 1"),
    validation_four=(call(fit(validation_data=[X] * 4)), TypeError, r"^val.* a list of length 4"),
    validation_dict=(
        call(fit(validation_data={"X": X, "y": Y})),
        TypeError,
        r"^validation_data must be .*, got a dict with the keys 'X', 'y'",
    ),
    validation_batches=(
        call(fit(validation_data=iter([(X, Y)]))),
        TypeError,
        r"^validation_data must be .*, got an object of type list_iterator",
    ),
    validation_swapped=(
        call(fit(validation_data=(Y, X))),
        ValueError,
        r"^validation_data\[0\] has shape \(20,\), .*swapped\?",
    ),
    validation_masked=(
        call(fit(validation_data=(MASKED, Y))),
        ValueError,
        r"^validation_data\[0\] has .* masked values: .*validation_data\[0\]\.filled\(value\)",
    ),
    validation_short=(
        call(fit(validation_data=(X, Y[1:]))),
        ValueError,
        r"^validation_data\[1\] has 19 rows .*, expected 20, as validation_data\[0\] has",
    ),
    validation_from_one=(
        call(fit(validation_data=(X, Y + 1))),
        ValueError,
        r"^validation_data\[1\] .*: validation_data\[1\] - 1$",
    ),
    metric_elsewhere=(
        call(fit(metrics=["acc"])),
        ValueError,
        r"^metrics\[0\] must be one of .*; got 'acc'; here that is 'accuracy'$",
    ),
    metric_spelling=(
        call(fit(metrics="Mean-Squared Error")),
        ValueError,
        r"^metrics\[0\] must .*; here that is 'mse'$",
    ),
    metric_of_values=(
        call(fit(metrics="mse")),
        ValueError,
        r"^metrics\[0\]: 'mse' needs a loss of values.*not loss='softmax.*: 'accuracy'",
    ),
    metric_of_classes=(
        call(lambda net: net.fit(X, VALUES, metrics="accuracy"), regressor),
        ValueError,
        r"^metrics\[0\]: 'accuracy' needs a cross-entropy, not loss='mse'; .*mse, rmse, mae, r2",
    ),
    metric_of_two_classes=(
        call(fit(metrics=["f1"])),
        ValueError,
        r"^metrics\[0\]: 'f1' needs two classes, .* 3 outputs; .*pass a function",
    ),
    metric_unknown=(call(fit(metrics="auc")), ValueError, r"^metrics\[0\] .*; got 'auc'$"),
)
def test_options(case, exception, says):
    check(case, exception, says)


W, B = [np.ones((4, 6)), np.ones((6, 3))], [np.ones(6), np.ones(3)]
OUT = np.ma.zeros((20, 3), np.float32)


# Each place where a network takes an array refuses one that hides values.
@table(
    call=(call(lambda net: net(MASKED)), ValueError, "^X has"),
    predict=(call(lambda net: net.predict(MASKED)), ValueError, "^X has"),
    one_sample=(call(lambda net: net.predict(masked(X[0]))), ValueError, r"^X has 1 masked value"),
    hidden=(call(lambda net: net.hidden(MASKED)), ValueError, "^X has"),
    evaluate=(call(lambda net: net.evaluate(MASKED, Y)), ValueError, "^X has"),
    gradients=(call(lambda net: net.gradients(X, masked(Y))), ValueError, "^y has"),
    input_gradient=(
        call(lambda net: net.input_gradient(X, Y, masked(VALUES**2))),
        ValueError,
        "^sample_weight has",
    ),
    backward=(call(lambda net: net.backward(masked(np.eye(3)[Y]), X)), ValueError, "^dout has"),
    backward_x=(call(lambda net: net.backward(np.eye(3)[Y], MASKED)), ValueError, "^X has"),
    train_on_batch=(
        call(lambda net: net.train_on_batch(MASKED, Y, pynn.SGD())),
        ValueError,
        "^X has",
    ),
    mini_batches=(
        call(lambda net: net.fit(iter([(MASKED, Y)]))),
        ValueError,
        r"^X of mini-batch .* masked values: .*, X\.filled\(value\)",
    ),
    weights=(
        call(lambda net: net.set_weights([masked(W[0]), W[1]], B)),
        ValueError,
        r"^weights\[0\] has 24 masked",
    ),
    biases=(
        call(lambda net: net.set_weights(W, [B[0], masked(B[1])])),
        ValueError,
        r"^biases\[1\] has 3 masked",
    ),
    out=(call(lambda net: net(X, out=OUT)), TypeError, "^out must be an ndarray, got MaskedArray"),
    many=(
        call(lambda net: pynn.fit_many([net], MASKED, Y)),
        ValueError,
        "^X has .* masked values",
    ),
    many_targets=(call(lambda net: pynn.fit_many([net], X, masked(Y))), ValueError, "^y has"),
    many_validation=(
        call(lambda net: pynn.fit_many([net], X, Y, validation_data=(MASKED, Y))),
        ValueError,
        r"^validation_data\[0\] has",
    ),
    folds=(
        call(lambda net: pynn.fit_many([net], X, Y, cv=[(np.arange(9), masked(np.arange(9, 20)))])),
        ValueError,
        r"^cv\[0\]\[1\] has 1 masked",
    ),
)
def test_masked(case, exception, says):
    net, function = case()
    with pytest.raises(exception, match=says):
        function(net)


@pytest.mark.parametrize(
    "x",
    [
        np.ma.array(X),
        np.ma.array(X, mask=np.zeros(X.shape, bool)),
        [np.ma.array(row) for row in X],
        pd.DataFrame(X),
        X.astype(object),
        [[Decimal(str(value)) for value in row] for row in X.tolist()],
        X.tolist(),
        X.view(np.matrix),
    ],
    ids=["masked", "mask", "masked-rows", "frame", "objects", "decimals", "lists", "matrix"],
)
def test_what_is_numbers_is_taken(x):
    net = classifier()
    np.testing.assert_array_equal(net(x), net(X))


def test_initializer_that_masks():
    with pytest.raises(ValueError, match=r"^init's array has 4 masked values"):
        pynn.MLP([2, 2], init=lambda rng, shape, dtype: np.ma.masked_equal(np.ones(shape), 1.0))


def test_tensors():
    torch = pytest.importorskip("torch")
    net = classifier()
    np.testing.assert_array_equal(net(torch.tensor(X)), net(X))
    for tensor, cure in [
        (torch.tensor(X, requires_grad=True), r"X\.detach\(\)\.cpu\(\)\.numpy\(\)"),
        (torch.tensor(X, dtype=torch.bfloat16), r"X\.detach\(\)\.cpu\(\)\.float\(\)\.numpy\(\)"),
    ]:
        with pytest.raises(TypeError, match=r"^X is a tensor that NumPy cannot read .*" + cure):
            net.fit(tensor, Y)
