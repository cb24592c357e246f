"""A bad argument is an error that names it, raised before anything has changed."""

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of

import pynn

X, Y = make_samples("softmax_cross_entropy", 20, 4, 3, labels=True)
VALUES = np.eye(3)[Y]
W, B = [np.ones((4, 6)), np.ones((6, 3))], [np.ones(6), np.ones(3)]


def table(**cases):
    """Parametrize by name: a function of the network, the exception, and what it must say."""
    return pytest.mark.parametrize(("call", "exception", "says"), cases.values(), ids=list(cases))


def check(net, call, exception, says):
    before, state, history = parameters_of(net), net.rng.bit_generator.state, net.history
    with pytest.raises(exception) as caught:
        call(net)
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    assert_same_bits(net, before)
    assert net.rng.bit_generator.state == state
    assert net.history is history


@pytest.fixture
def net():
    net = pynn.MLP([4, 6, 3], seed=0)
    net.fit(X, Y, epochs=1)
    return net


@pytest.mark.parametrize(
    ("arguments", "exception", "says"),
    [
        ({"layer_sizes": 5}, TypeError, ["layer_sizes", "5"]),
        ({"layer_sizes": [4]}, ValueError, ["layer_sizes", "[4]"]),
        ({"layer_sizes": []}, ValueError, ["layer_sizes", "[]"]),
        ({"layer_sizes": [4, 0, 3]}, ValueError, ["layer_sizes[1]", "0"]),
        ({"layer_sizes": [-4, 3]}, ValueError, ["layer_sizes[0]", "-4"]),
        ({"layer_sizes": [4, 2.5, 3]}, TypeError, ["layer_sizes[1]", "2.5"]),
        ({"layer_sizes": "43"}, TypeError, ["layer_sizes[0]", "'4'"]),
        ({"activation": "softmax"}, ValueError, ["activation", "relu", "tanh", "'softmax'"]),
        ({"activation": "relu7"}, ValueError, ["activation", "relu", "'relu7'"]),
        ({"activation": 3}, TypeError, ["activation", "3"]),
        ({"activation": ["relu", "relu"]}, ValueError, ["activation", "2 names", "1 hidden"]),
        ({"activation": ["gauss"]}, ValueError, ["activation[0]", "'gauss'"]),
        ({"activation": [None]}, TypeError, ["activation[0]", "None"]),
        (
            {"layer_sizes": [4, 1]},
            ValueError,
            ["1 output", "softmax", "sigmoid_cross_entropy", "mse"],
        ),
        (
            {"layer_sizes": [4, 1], "loss": "mse", "output_activation": "softmax"},
            ValueError,
            ["1 output", "softmax", "output_activation"],
        ),
        ({"loss": "hinge"}, ValueError, ["loss", "softmax_cross_entropy", "mse", "'hinge'"]),
        ({"loss": None}, TypeError, ["loss", "None"]),
        ({"output_activation": "relu"}, ValueError, ["output_activation", "softmax", "'relu'"]),
        ({"output_activation": 1}, TypeError, ["output_activation", "1"]),
        (
            {"loss": "poisson", "output_activation": "tanh"},
            ValueError,
            ["output_activation", "softplus", "'tanh'", "poisson"],
        ),
        ({"init": "normal"}, ValueError, ["init", "he_normal", "'normal'"]),
        ({"init": 0.1}, TypeError, ["init", "0.1"]),
        (
            {"init": lambda rng, shape, dtype: np.ones(shape[::-1])},
            ValueError,
            ["init", "(6, 4)", "(4, 6)"],
        ),
        ({"loss": pynn.Huber}, TypeError, ["loss", "Huber"]),
        ({"loss": {"name": "huber", "width": 1}}, ValueError, ["huber", "width"]),
        ({"loss": pynn.Pinball([0.1, 0.9])}, ValueError, ["loss", "2 quantiles", "3 outputs"]),
        ({"dropout": 1.0}, ValueError, ["dropout", "[0, 1)", "1"]),
        ({"dropout": -0.1}, ValueError, ["dropout", "-0.1"]),
        ({"dropout": "half"}, TypeError, ["dropout", "'half'"]),
        ({"dropout": [0.1, 0.2, 0.3]}, ValueError, ["dropout", "3 values", "2"]),
        ({"dropout": [0.1, 2]}, ValueError, ["dropout[1]", "2"]),
        ({"l1": -1}, ValueError, ["l1", "-1"]),
        ({"l1": np.nan}, ValueError, ["l1", "nan"]),
        ({"l2": "much"}, TypeError, ["l2", "'much'"]),
        ({"l2": [0.1]}, ValueError, ["l2", "1 values", "2"]),
        ({"l2": np.inf}, ValueError, ["l2", "inf"]),
        ({"max_norm": -2}, ValueError, ["max_norm", "-2"]),
        ({"max_norm": [1, "a"]}, TypeError, ["max_norm[1]", "'a'"]),
        ({"bias": "no"}, TypeError, ["bias", "'no'"]),
        ({"bias": 1}, TypeError, ["bias", "1"]),
        ({"dtype": "float16"}, ValueError, ["dtype", "float32", "float64", "'float16'"]),
        ({"dtype": ">f4"}, ValueError, ["dtype", "float32", ">f4"]),
        ({"dtype": int}, ValueError, ["dtype", "float32"]),
        ({"dtype": None}, ValueError, ["dtype", "None"]),
        ({"dtype": "single precision"}, TypeError, ["dtype", "single precision"]),
        ({"seed": "abc"}, TypeError, ["seed"]),
        ({"seed": -1}, ValueError, ["seed"]),
    ],
)
def test_constructor(arguments, exception, says):
    with pytest.raises(exception) as caught:
        pynn.MLP(**{"layer_sizes": [4, 6, 3], **arguments})
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)


BAD_SAMPLES = {
    "columns": (lambda: X[:, :3], ValueError, ["(20, 3)", "(n, 4)"]),
    "vector": (lambda: X[:, 0], ValueError, ["(20,)", "(n, 4)"]),
    "stack": (lambda: X[None], ValueError, ["(1, 20, 4)", "(n, 4)"]),
    "number": (lambda: 3.0, ValueError, ["()", "(n, 4)"]),
    "none": (lambda: None, TypeError, ["object"]),
    "text": (lambda: np.full((20, 4), "a"), TypeError, ["<U1"]),
    "objects": (lambda: np.full((20, 4), {}), TypeError, ["object", "{}", "dict"]),
    "complex": (lambda: X * 1j, TypeError, ["complex128"]),
    "dates": (lambda: np.zeros((20, 4), "M8[s]"), TypeError, ["datetime64[s]"]),
    "empty": (lambda: X[:0], ValueError, ["(0, 4)"]),
}
BAD_LABELS = {
    "length": (lambda: Y[:7], ValueError, ["7 rows", "(7,)", "20"]),
    "too-large": (lambda: Y + 1, ValueError, ["1 to 3", "0 to 2"]),
    "negative": (lambda: Y - 1, ValueError, ["-1 to 1", "0 to 2"]),
    "huge": (lambda: Y.astype(np.uint64) + 2**63, ValueError, ["9223372036854775808", "0 to 2"]),
    "floats": (lambda: Y * 1.0, TypeError, ["float64", "integer class labels", "(20,3)"]),
    "columns": (lambda: VALUES[:, :2], ValueError, ["(20, 2)", "(20,3)"]),
    "one-column": (lambda: Y[:, None], ValueError, ["(20, 1)", "ravel"]),
    "stack": (lambda: VALUES[None], ValueError, ["(1, 20, 3)"]),
    "not-probabilities": (lambda: VALUES * 2, ValueError, ["2.0", "between 0 and 1"]),
    "nan": (lambda: VALUES * np.nan, ValueError, ["nan", "between 0 and 1"]),
    "text": (lambda: Y.astype(str), TypeError, ["<U"]),
}
CALLS = {
    "fit": lambda net, x, y: net.fit(x, y),
    "train_on_batch": lambda net, x, y: net.train_on_batch(x, y, pynn.SGD()),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


@table(**BAD_SAMPLES)
def test_samples(net, call, exception, says):
    for each in CALLS.values():
        check(net, lambda n, each=each: each(n, call(), Y), exception, ["X", *says])


@table(**BAD_LABELS)
def test_targets(net, call, exception, says):
    for each in CALLS.values():
        check(net, lambda n, each=each: each(n, X, call()), exception, ["y", *says])


@pytest.mark.parametrize("name", list(CALLS))
def test_no_targets(net, name):
    message = "^y is missing: pass fit" if name == "fit" else "^y must hold numbers, got .*None"
    with pytest.raises(TypeError, match=message):
        CALLS[name](net, X, None)


@calls
@pytest.mark.parametrize("loss", ["squared_error", "mse"])
def test_targets_of_regression(call, loss):
    net = pynn.MLP([4, 3], loss=loss, seed=0)
    for y in (Y, Y * 1.0):
        check(net, lambda n: call(n, X, y), ValueError, ["y", "(20,)", "(20,3)"])  # noqa: B023
    check(net, lambda n: call(n, X, VALUES[:, :2]), ValueError, ["y", "(20, 2)", "(20,3)"])


@table(
    **{k: v for k, v in BAD_SAMPLES.items() if k not in ("vector", "empty")},
    row=(lambda: X[:, 0], ValueError, ["(20,)", "(n, 4) or (4,)"]),
)
def test_samples_of_predictions(net, call, exception, says):
    for method in (net, net.predict, net.hidden):
        check(net, lambda n, method=method: method(call()), exception, ["X", *says])


@table(
    shape=(lambda: np.empty((20, 4), "f4"), ValueError, ["(20, 3)", "(20, 4)"]),
    dtype=(lambda: np.empty((20, 3)), ValueError, ["float32", "float64"]),
    order=(lambda: np.empty((3, 20), "f4").T, ValueError, ["C-contiguous"]),
    strided=(lambda: np.empty((40, 3), "f4")[::2], ValueError, ["C-contiguous"]),
    swapped=(lambda: np.empty((20, 3), np.dtype("f4").newbyteorder()), ValueError, ["float32"]),
    list=(lambda: [[0.0] * 3] * 20, TypeError, ["ndarray", "list"]),
)
def test_out(net, call, exception, says):
    check(net, lambda n: n(X, out=call()), exception, ["out", *says])


def test_read_only_out(net):
    out = np.zeros((20, 3), np.float32)
    out.flags.writeable = False
    check(net, lambda n: n(X, out=out), ValueError, ["out", "writable"])
    assert not out.any()


@table(
    too_high=(lambda net: net.hidden(X, 1), ValueError, ["layer", "-1 to 0", "1"]),
    too_low=(lambda net: net.hidden(X, -2), ValueError, ["layer", "-1 to 0", "-2"]),
    name=(lambda net: net.hidden(X, "last"), ValueError, ["layer", "'last'"]),
    fraction=(lambda net: net.hidden(X, 0.5), ValueError, ["layer", "0.5"]),
)
def test_layer(net, call, exception, says):
    check(net, call, exception, says)


def test_no_hidden_layer():
    check(pynn.MLP([4, 3]), lambda n: n.hidden(X), ValueError, ["no hidden layer"])


def changed(**settings):
    """An optimizer with attributes that were set to what its constructor would refuse."""
    sgd = pynn.SGD(0.1, momentum=0.5)
    for name, value in settings.items():
        setattr(sgd, name, value)
    return sgd


@table(
    epochs_0=(lambda net: net.fit(X, Y, epochs=0), ValueError, ["epochs", "1", "0"]),
    epochs_2_5=(lambda net: net.fit(X, Y, epochs=2.5), TypeError, ["epochs", "2.5"]),
    batch_size_0=(lambda net: net.fit(X, Y, batch_size=0), ValueError, ["batch_size", "0"]),
    batch_size_auto=(lambda net: net.fit(X, Y, batch_size="auto"), TypeError, ["batch_size"]),
    optimizer_name=(
        lambda net: net.fit(X, Y, optimizer="nadam"),
        ValueError,
        ["optimizer", "adam, adamw, rmsprop, sgd", "'nadam'"],
    ),
    optimizer_number=(lambda net: net.fit(X, Y, optimizer=0.1), TypeError, ["optimizer", "0.1"]),
    optimizer_class=(lambda net: net.fit(X, Y, optimizer=pynn.SGD), TypeError, ["optimizer"]),
    shuffle=(lambda net: net.fit(X, Y, shuffle="yes"), TypeError, ["shuffle", "'yes'"]),
    progress=(lambda net: net.fit(X, Y, progress=2), TypeError, ["progress", "2"]),
    callback=(lambda net: net.fit(X, Y, callbacks=[print, 3]), TypeError, ["callbacks[1]", "3"]),
    callbacks=(lambda net: net.fit(X, Y, callbacks=3), TypeError, ["callbacks", "3"]),
    validation=(lambda net: net.fit(X, Y, validation_data=X), TypeError, ["validation_data"]),
    validation_x=(
        lambda net: net.fit(X, Y, validation_data=(X[:, 1:], Y)),
        ValueError,
        ["validation_data[0]", "(20, 3)"],
    ),
    validation_y=(
        lambda net: net.fit(X, Y, validation_data=(X, Y[1:])),
        ValueError,
        ["validation_data[1]", "(19,)", "20"],
    ),
    validation_none=(
        lambda net: net.fit(X, Y, validation_data=(X[:0], Y[:0])),
        ValueError,
        ["validation_data[0]", "(0, 4)"],
    ),
    split=(lambda net: net.fit(X, Y, validation_split=1), ValueError, ["validation_split", "1"]),
    split_all=(
        lambda net: net.fit(X, Y, validation_split=0.99),
        ValueError,
        ["validation_split", "0.99", "20"],
    ),
    split_and_data=(
        lambda net: net.fit(X, Y, validation_split=0.1, validation_data=(X, Y)),
        ValueError,
        ["validation_data", "validation_split"],
    ),
    weights_shape=(
        lambda net: net.fit(X, Y, sample_weight=np.ones(19)),
        ValueError,
        ["sample_weight", "(19,)", "(20,)"],
    ),
    weights_negative=(
        lambda net: net.train_on_batch(X, Y, pynn.SGD(), np.full(20, -1.0)),
        ValueError,
        ["sample_weight", "at least 0"],
    ),
    weights_nan=(
        lambda net: net.gradients(X, Y, np.full(20, np.nan)),
        ValueError,
        ["sample_weight", "finite"],
    ),
    weights_zero=(
        lambda net: net.evaluate(X, Y, np.zeros(20)),
        ValueError,
        ["sample_weight", "0 everywhere"],
    ),
    weights_text=(
        lambda net: net.input_gradient(X, Y, ["a"] * 20),
        TypeError,
        ["sample_weight", "<U1"],
    ),
    class_weight_name=(
        lambda net: net.fit(X, Y, class_weight="even"),
        ValueError,
        ["class_weight", "balanced", "'even'"],
    ),
    class_weight_list=(
        lambda net: net.fit(X, Y, class_weight=[1, 2, 3]),
        TypeError,
        ["class_weight", "dict", "[1, 2, 3]"],
    ),
    class_weight_value=(
        lambda net: net.fit(X, Y, class_weight={1: -1.0}),
        ValueError,
        ["class_weight[1]", "-1"],
    ),
    class_weight_zero=(
        lambda net: net.fit(X, Y, class_weight={0: 0, 1: 0, 2: 0}),
        ValueError,
        ["class_weight", "0"],
    ),
    metric=(lambda net: net.fit(X, Y, metrics="accurate"), ValueError, ["accurate"]),
    metric_of_values=(lambda net: net.fit(X, Y, metrics=["r2"]), ValueError, ["r2"]),
    sampling=(lambda net: net.fit(X, Y, sampling="bag"), ValueError, ["sampling", "'bag'"]),
    steps=(
        lambda net: net.fit(X, Y, steps_per_epoch=3),
        ValueError,
        ["steps_per_epoch", "mini-batches"],
    ),
    steps_0=(
        lambda net: net.fit(iter([(X, Y)]), steps_per_epoch=0),
        ValueError,
        ["steps_per_epoch", "1", "0"],
    ),
    iterator_weights=(
        lambda net: net.fit(iter([(X, Y)]), sample_weight=np.ones(20)),
        ValueError,
        ["sample_weight", "mini-batches"],
    ),
    training=(lambda net: net.gradients(X, Y, training=1), TypeError, ["training", "1"]),
    no_optimizer=(lambda net: net.train_on_batch(X, Y, False), TypeError, ["optimizer", "False"]),
    rate=(
        lambda net: net.fit(X, Y, learning_rate=0),
        ValueError,
        ["learning_rate", "(0, inf)", "0"],
    ),
    rate_of_a_step=(
        lambda net: net.train_on_batch(X, Y, learning_rate="fast"),
        TypeError,
        ["learning_rate", "'fast'"],
    ),
    rate_set=(
        lambda net: net.fit(X, Y, optimizer=changed(learning_rate=-1)),
        ValueError,
        ["learning_rate", "-1"],
    ),
    momentum_set=(
        lambda net: net.train_on_batch(X, Y, changed(momentum=1)),
        ValueError,
        ["momentum", "1"],
    ),
    nesterov_set=(
        lambda net: net.fit(X, Y, optimizer=changed(nesterov=True, momentum=0)),
        ValueError,
        ["nesterov", "momentum"],
    ),
)
def test_options_of_training(net, call, exception, says):
    check(net, call, exception, says)


@pytest.mark.parametrize(
    ("settings", "exception", "says"),
    [
        ({"learning_rate": 0}, ValueError, ["learning_rate", "(0, inf)", "0"]),
        ({"learning_rate": -0.1}, ValueError, ["learning_rate", "-0.1"]),
        ({"learning_rate": np.inf}, ValueError, ["learning_rate", "inf"]),
        ({"learning_rate": np.nan}, ValueError, ["learning_rate", "nan"]),
        ({"learning_rate": "0.1"}, TypeError, ["learning_rate", "'0.1'"]),
        ({"learning_rate": None}, TypeError, ["learning_rate", "None"]),
        ({"learning_rate": True}, TypeError, ["learning_rate", "True"]),
        ({"learning_rate": [0.1]}, TypeError, ["learning_rate", "[0.1]"]),
        ({"momentum": 1}, ValueError, ["momentum", "[0, 1)", "1"]),
        ({"momentum": -0.5}, ValueError, ["momentum", "-0.5"]),
        ({"momentum": np.nan}, ValueError, ["momentum", "nan"]),
        ({"momentum": 1j}, TypeError, ["momentum", "1j"]),
        ({"nesterov": True}, ValueError, ["nesterov", "momentum"]),
        ({"nesterov": 1, "momentum": 0.5}, TypeError, ["nesterov", "1"]),
    ],
)
def test_sgd(settings, exception, says):
    with pytest.raises(exception) as caught:
        pynn.SGD(**settings)
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("call", "exception", "says"),
    [
        (lambda: pynn.Huber(0), ValueError, ["delta", "0"]),
        (lambda: pynn.Huber("1"), TypeError, ["delta", "'1'"]),
        (lambda: pynn.Pinball(1.0), ValueError, ["quantile", "(0, 1)", "1"]),
        (lambda: pynn.Pinball([0.5, 0]), ValueError, ["quantile[1]", "0"]),
        (lambda: pynn.SoftmaxCrossEntropy(1), ValueError, ["label_smoothing", "[0, 1)", "1"]),
        (lambda: pynn.SigmoidCrossEntropy(None), TypeError, ["label_smoothing", "None"]),
        (lambda: pynn.huber(X, X, delta=-1), ValueError, ["delta", "-1"]),
        (lambda: pynn.pinball(X, X, quantile=[0.1, 0.2]), ValueError, ["quantile", "(2,)"]),
        (lambda: pynn.pinball(X, X, quantile=1), ValueError, ["quantile", "1"]),
        (lambda: pynn.poisson(X, np.full(X.shape, -1.0)), ValueError, ["target", "-1"]),
        (lambda: pynn.mae(X, X[1:]), ValueError, ["target", "(19, 4)", "(20, 4)"]),
    ],
)
def test_losses_with_parameters(call, exception, says):
    with pytest.raises(exception) as caught:
        call()
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)


def test_poisson_refuses_negative_targets():
    net = pynn.MLP([4, 1], loss="poisson", seed=0)
    check(net, lambda n: n.fit(X, np.full(20, -1.0)), ValueError, ["y", "-1", "poisson"])


def test_class_weights_need_classes():
    net = pynn.MLP([4, 1], loss="mse", seed=0)
    says = ["class_weight", "mse"]
    check(net, lambda n: n.fit(X, np.ones(20), class_weight="balanced"), ValueError, says)
    many = pynn.MLP([4, 3], loss="sigmoid_cross_entropy", seed=0)
    says = ["class_weight", "sample_weight"]
    check(many, lambda n: n.fit(X, np.ones((20, 3)), class_weight={0: 1}), ValueError, says)


@table(
    too_few=(lambda net: net.set_weights(W[:1], B), ValueError, ["weights", "1", "2"]),
    too_many=(lambda net: net.set_weights([*W, W[0]], B), ValueError, ["weights", "3", "2"]),
    no_biases=(lambda net: net.set_weights(W), ValueError, ["biases", "0", "2"]),
    transposed=(
        lambda net: net.set_weights([W[0], W[1].T], B),
        ValueError,
        ["weights[1]", "(3, 6)", "(6, 3)"],
    ),
    broadcast=(lambda net: net.set_weights([1.0, W[1]], B), ValueError, ["weights[0]", "()"]),
    row=(lambda net: net.set_weights(W, [B[0], B[1][None]]), ValueError, ["biases[1]", "(1, 3)"]),
    text=(lambda net: net.set_weights(W, [B[0], list("abc")]), TypeError, ["biases[1]", "<U1"]),
    complex=(lambda net: net.set_weights([W[0], W[1] * 1j], B), TypeError, ["weights[1]"]),
)
def test_set_weights(net, call, exception, says):
    check(net, call, exception, says)


def test_set_weights_that_overflow(net):
    before = net.weights[1].copy()
    with pytest.raises(ValueError, match=r"weights\[1\] has a value that is too large for float32"):
        net.set_weights([W[0], W[1] * 1e300], B)
    np.testing.assert_array_equal(net.weights[1], before)


@pytest.mark.parametrize("sizes", [[2**40, 2**40], [2**32, 2**32], [2**62, 2, 2**62], [2**70, 2]])
def test_sizes_beyond_memory(sizes):
    with pytest.raises((MemoryError, ValueError, OverflowError)):
        pynn.MLP(sizes)


@pytest.mark.parametrize("order", [None, np.array([4, 7, 2])])
def test_the_core_itself_refuses_a_label_that_it_reads(net, order):
    """The mini-batch with it is not applied."""
    y = np.array(Y, np.int64)
    y[7] = 3
    bound = pynn.SGD()._bind(net)
    arguments = (
        True,
        None,
        order,
        8,
        bound,
        net._engine.rng_position,
        False,
        np.empty((1, 3)),
        None,
    )
    before = parameters_of(net)
    result = net._engine.core.train(X, y, *arguments)
    found = (result["changed_row"], result["changed_value"], result["changed_applied"])
    assert found == (7, 3, False)
    assert (result["steps"], result["finite"]) == (0, False)
    for old, new in zip(before, parameters_of(net), strict=True):
        assert old.tobytes() == new.tobytes()
