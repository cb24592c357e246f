"""Networks for and from Keras; `test_keras` runs this file in a process with the torch backend."""

import os
import pickle

import numpy as np
import pytest
from layer_cases import CASES, DTYPES, layer_kinds, make_case

import pynn
from pynn import layers as L
from pynn.convert import from_keras, to_keras
from pynn.formats import keras as conversion

assert os.environ["KERAS_BACKEND"] == "torch"
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")


def outputs(model, x):
    """In float32: with another backend than tensorflow Keras has float64 parameters only."""
    result = keras.ops.convert_to_numpy(model(x, training=False))
    return np.asarray(result, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_layers_there_and_back(assert_close, case, dtype):
    net, x = make_case(case, dtype)
    model = to_keras(net)
    result = outputs(model, x)
    assert {str(weight.dtype) for weight in model.weights} == {dtype}
    assert_close(result, net(x))
    again = from_keras(model, net.loss)
    assert (again.dtype, again.input_shape) == (dtype, net.input_shape)
    np.testing.assert_array_equal(again(x), net(x))


def test_every_layer_has_a_writer_and_a_reader():
    assert {*conversion.WRITERS, "Residual"} == layer_kinds()


@pytest.mark.parametrize("name", [*conversion.ACTIVATIONS, "leaky_relu"])
def test_activations(assert_close, name):
    net = pynn.Sequential([L.Dense(4, name), L.Dense(2)], 5, "mse", dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(9, 5))
    model = net.to_keras()
    assert_close(outputs(model, x), net(x))
    assert from_keras(model).layers[0] == net.layers[0]


def test_an_mlp_and_its_logits(assert_close):
    net = pynn.MLP([5, 4, 3], dropout=0.1, seed=0)
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    assert_close(outputs(net.to_keras(), x), net(x))
    logits = outputs(net.to_keras(logits=True), x)
    assert_close(pynn.softmax(logits), net(x))
    again = from_keras(net.to_keras(logits=True), "softmax_cross_entropy")
    np.testing.assert_array_equal(again(x), net(x))
    assert again.output_activation == "softmax"


def test_settings_of_training_go_along():
    dense = L.Dense(4, "tanh", l1=0.5, l2=0.25, max_norm=2.0)
    layers = [dense, L.BatchNorm(0.9, epsilon=0.01), L.Dropout(0.25), L.RBF(3, train_widths=False)]
    net = pynn.Sequential([*layers, L.Dense(2)], 5, "mse", seed=0)
    assert from_keras(net.to_keras()).layers == net.layers


def test_copies():
    net, x = make_case("residual with projection")
    before = net(x)
    model = to_keras(net)
    again = from_keras(model)
    for weight in model.weights:
        weight.assign(keras.ops.zeros_like(weight))
    np.testing.assert_array_equal(net(x), before)
    np.testing.assert_array_equal(again(x), before)


def test_files_of_keras(tmp_path, assert_close):
    net, x = make_case("positions")
    extra = pynn.Sequential([L.PositionEmbedding(), L.RBF(4), L.Dense(2)], (6, 5), "mse", seed=0)
    for each, samples in ((net, x), (extra, np.ones((2, 6, 5), np.float32))):
        each.to_keras().save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
        assert_close(outputs(model, samples), each(samples))
        copy = pickle.loads(pickle.dumps(model))
        assert_close(outputs(copy, samples), each(samples))


K = keras.layers
PLAIN = {
    "dense": [keras.Input((5,)), K.Dense(4, "relu"), K.Dense(3, use_bias=False)],
    "nested": [keras.Input((5,)), keras.Sequential([K.Dense(4), K.ELU()]), K.Dense(3, "softmax")],
    "norms": [
        keras.Input((5,)),
        *(K.BatchNormalization(scale=False), K.LayerNormalization(center=False), K.ReLU()),
        *(K.BatchNormalization(center=False, scale=False), K.Dense(2, "exponential")),
    ],
    "layer norm alone": [
        keras.Input((5,)),
        K.LayerNormalization(center=False, scale=False),
        K.Dense(2),
    ],
    "images": [keras.Input((4, 3, 2)), K.GlobalMaxPooling2D(), K.Dense(2, "sigmoid")],
    "tokens": [keras.Input((6,), dtype="int32"), K.Embedding(9, 4), K.Flatten(), K.Dense(3)],
    "reshape": [keras.Input((6,)), K.Reshape((-1, 2)), K.Dense(3), K.Softmax(), K.Flatten()],
}


@pytest.mark.parametrize("case", PLAIN)
def test_models_of_keras(assert_close, case):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(PLAIN[case])
    net = from_keras(model)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, *net.input_shape)).astype(np.float32)
    if case == "tokens":
        x = rng.integers(0, 9, size=(7, 6))
    assert_close(net(x), outputs(model, x))


def functional(build, shape=(5,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def two_blocks(x):
    for _ in range(2):
        x = K.ReLU()(K.Add()([K.Dense(5)(K.LayerNormalization()(x)), x]))
    return K.Dense(2)(x)


def projected(x):
    return K.Add()([K.Dense(4)(x), K.Dense(4)(K.Dense(6, "tanh")(x))])


def within(x):
    y = K.Dense(5)(x)
    z = K.Add()([y, K.Activation("tanh")(y)])
    return K.Dense(2)(K.Add()([x, z]))


@pytest.mark.parametrize("build", [two_blocks, projected, within])
def test_functional_models(assert_close, build):
    model = functional(build)
    net = from_keras(model)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    assert_close(net(x), outputs(model, x))
    assert any(isinstance(layer, L.Residual) for layer in net.layers)


def test_open_sizes(assert_close):
    model = keras.Sequential([keras.Input((None, 5)), K.Dense(4), K.GlobalAveragePooling1D()])
    net = from_keras(model)
    assert net.input_shape == (None, 5)
    x = np.ones((2, 7, 5), np.float32)
    assert_close(net(x), outputs(model, x))
    assert_close(outputs(net.to_keras(), x), net(x))
    assert from_keras(model, input_shape=(6, 5)).input_shape == (6, 5)
    images = keras.Sequential([keras.Input((4, None, 5)), K.Dense(4), K.GlobalMaxPooling2D()])
    message = r"model takes inputs of shape \(4, None, 5\); pass input_shape without None"
    with pytest.raises(ValueError, match=message):
        from_keras(images)
    with pytest.raises(ValueError, match=r"input_shape is \(6, 4\), but model takes .*\(None, 5\)"):
        from_keras(model, input_shape=(6, 4))


class Own(keras.Model):
    pass


class OwnDense(K.Dense):
    pass


def shared(x):
    dense = K.Dense(5)
    return dense(dense(x))


ERRORS = {
    "unknown": (
        [K.Dense(4), K.GaussianNoise(0.1)],
        r"model\.layers\[1\] is GaussianNoise; expected",
    ),
    "own": ([OwnDense(4)], r"model\.layers\[0\] is OwnDense; expected"),
    "nested": ([keras.Sequential([K.UnitNormalization()])], r"layers\[0\]\.layers\[0\] is UnitNo"),
    "slope": ([K.Dense(4, "leaky_relu")], r"layers\[0\] is Dense with activation 'leaky_relu'; p"),
    "function": ([K.Dense(4, "mish")], r"layers\[0\] is Dense with activation 'mish'; expected li"),
    "alpha": ([K.Dense(4), K.ELU(2.0)], r"layers\[1\] is ELU with alpha=2.0; alpha=1 was expected"),
    "axis": ([K.Reshape((5, 1)), K.BatchNormalization(axis=1)], r"BatchN.*axis=1; the last axis"),
    "penalty": ([K.Dense(2, bias_regularizer="l2")], r"Dense with bias_regularizer=.*None was exp"),
    "orthogonal": (
        [K.Dense(2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer())],
        "Dense with a regularizer .*; L1, L2 or L1L2",
    ),
    "constraint": ([K.Dense(2, kernel_constraint="non_neg")], r"Dense with a constraint .*MaxNorm"),
    "later tokens": (
        [K.Dense(4), K.Embedding(5, 2)],
        r"model\.layers\[1\] is Embedding; layer 1 \(Embedding\): it reads tokens",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_expressed(case):
    parts, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        from_keras(keras.Sequential([keras.Input((5,)), *parts]))


FUNCTIONAL_ERRORS = {
    "shared": (shared, r"get_layer\('dense\w*'\) is Dense; it is called 2 times"),
    "product": (lambda x: K.Multiply()([x, K.Dense(5)(x)]), "Multiply, which has several inputs"),
    "two branches": (
        lambda x: K.Add()([K.Dense(4, "relu")(x), K.Dense(4, "tanh")(x)]),
        r"is Add; the sum of layers and their input was expected",
    ),
    "three": (lambda x: K.Add()([x, x, K.Dense(5)(x)]), "is Add; the sum of layers and their"),
}


@pytest.mark.parametrize("case", FUNCTIONAL_ERRORS)
def test_what_functional_models_cannot_be(case):
    build, message = FUNCTIONAL_ERRORS[case]
    with pytest.raises(ValueError, match=message):
        from_keras(functional(build))


def test_other_errors():
    with pytest.raises(TypeError, match=r"model must be a keras\.Sequential, got the layer Dens"):
        from_keras(K.Dense(3))
    with pytest.raises(TypeError, match=r"got MLP, which is a network of pynn already"):
        from_keras(pynn.MLP([2, 2]))
    with pytest.raises(TypeError, match=r"net must be a pynn\.MLP, got Sequential of keras; pyn"):
        to_keras(keras.Sequential([keras.Input((5,)), K.Dense(3)]))
    with pytest.raises(ValueError, match="model is Own, whose call cannot be read"):
        from_keras(Own())
    with pytest.raises(ValueError, match="without weights yet"):
        from_keras(keras.Sequential([K.Dense(3)]))
    with pytest.raises(ValueError, match=r"2 outputs; one of each was expected"):
        from_keras(functional(lambda x: [K.Dense(3)(x), K.Dense(2)(x)]))
    with pytest.raises(TypeError, match="logits must be True or False"):
        to_keras(pynn.MLP([2, 2]), logits=1)
