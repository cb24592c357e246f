"""Networks from and for scikit-learn, compared with its predictions."""

import pickle

import numpy as np
import pytest
from scipy import special

import pynn
from pynn.convert import from_sklearn, to_sklearn
from pynn.formats import sklearn as conversion

neural = pytest.importorskip("sklearn.neural_network")
base = pytest.importorskip("sklearn.base")

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5))
CLASSES = np.arange(40) % 3
LABELS = (rng.random((40, 3)) < 0.5).astype(int)
VALUES = rng.normal(size=(40, 2))


def fitted(kind, y, **options):
    options = {"hidden_layer_sizes": (7, 6), "max_iter": 5, "random_state": 0, **options}
    with pytest.warns(UserWarning, match="Maximum iterations"):
        return kind(**options).fit(X, y)


# ------------------------------------------------------------------------ from


@pytest.mark.parametrize("hidden", [(), (4,), (7, 6)])
@pytest.mark.parametrize("activation", conversion.HIDDEN.values())
def test_from_a_classifier(activation, hidden):
    estimator = fitted(
        neural.MLPClassifier, CLASSES, activation=activation, hidden_layer_sizes=hidden
    )
    net = from_sklearn(estimator)
    assert net.layer_sizes == (5, *hidden, 3)
    assert (net.loss, net.dtype) == ("softmax_cross_entropy", np.float64)
    np.testing.assert_allclose(net(X), estimator.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(net.predict(X), estimator.predict(X))


@pytest.mark.parametrize("activation", ["logistic", "gelu", ["tanh", "elu"]])
@pytest.mark.parametrize("y", [CLASSES, CLASSES % 2, LABELS], ids=["three", "two", "labels"])
def test_from_an_estimator_of_pynn(activation, y, tmp_path):
    """And its network goes into a file; the estimator's penalties and dropout stay behind."""
    ours = pytest.importorskip("pynn.sklearn")
    estimator = fitted(ours.MLPClassifier, y, activation=activation, alpha=1.0, dropout=0.5)
    net = from_sklearn(estimator)
    probabilities = estimator.predict_proba(X)
    np.testing.assert_array_equal(
        net(X), probabilities if net(X).shape[1] > 1 else probabilities[:, 1:]
    )
    np.testing.assert_array_equal(net.predict(X), estimator.predict(X))
    assert net.l2 == (0.0,) * 3
    net.save(tmp_path / "net.npz")
    again = pynn.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again(X), net(X))
    net.weights[0][...] = 0  # they are copies
    np.testing.assert_array_equal(estimator.predict_proba(X), probabilities)


def test_from_a_regressor_of_pynn():
    ours = pytest.importorskip("pynn.sklearn")
    estimator = fitted(ours.MLPRegressor, VALUES, dtype="float32")
    net = from_sklearn(estimator)
    assert (net.loss, net.dtype) == ("squared_error", np.float32)
    np.testing.assert_array_equal(net(X), estimator.predict(X).astype(np.float32))


def test_from_a_classifier_of_two_named_classes():
    estimator = fitted(neural.MLPClassifier, np.array(["b", "a"])[CLASSES % 2])
    net = from_sklearn(estimator)
    assert (net.loss, net.layer_sizes[-1]) == ("sigmoid_cross_entropy", 1)
    np.testing.assert_allclose(net(X)[:, 0], estimator.predict_proba(X)[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(estimator.classes_[net.predict(X)], estimator.predict(X))


def test_from_a_classifier_of_several_labels():
    estimator = fitted(neural.MLPClassifier, LABELS)
    net = from_sklearn(estimator)
    np.testing.assert_allclose(net(X), estimator.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(net.predict(X), estimator.predict(X))


@pytest.mark.parametrize("y", [VALUES, VALUES[:, 0]], ids=["two", "one"])
def test_from_a_regressor(y):
    estimator = fitted(neural.MLPRegressor, y)
    net = from_sklearn(estimator)
    assert (net.loss, net.activations[-1]) == ("squared_error", "identity")
    np.testing.assert_allclose(net(X).reshape(y.shape), estimator.predict(X), rtol=1e-11)


@pytest.mark.skipif(
    "loss" not in neural.MLPRegressor().get_params(), reason="poisson needs scikit-learn 1.7"
)
def test_poisson_regressors():
    estimator = fitted(neural.MLPRegressor, np.abs(VALUES), loss="poisson")
    net = from_sklearn(estimator)
    assert (net.loss, net.activations[-1]) == ("poisson", "exp")
    np.testing.assert_allclose(net(X), estimator.predict(X), rtol=1e-11)
    again = to_sklearn(net)
    assert (again.loss, again.out_activation_) == ("poisson", "exp")
    np.testing.assert_allclose(again.predict(X), estimator.predict(X), rtol=1e-11)


def test_types_copies_and_the_seed():
    with pytest.warns(UserWarning, match="Maximum iterations"):
        estimator = neural.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(
            X.astype("float32"), VALUES
        )
    net = from_sklearn(estimator, seed=4)
    assert net.dtype == np.float32
    assert from_sklearn(estimator, dtype="float64").dtype == np.float64
    assert net.rng.random() == np.random.default_rng(4).random()
    net.weights[0][...] = 0
    assert estimator.coefs_[0].all()


def test_training_goes_on():
    estimator = fitted(neural.MLPClassifier, CLASSES)
    net = from_sklearn(estimator, seed=0)
    before = net.evaluate(X, CLASSES)["loss"]
    net.fit(X, CLASSES, epochs=20, optimizer=pynn.Adam(0.01))
    assert net.evaluate(X, CLASSES)["loss"] < before


def test_errors_of_from_sklearn():
    with pytest.raises(TypeError, match=r"estimator must be an MLPClassifier .*, got MLP"):
        from_sklearn(pynn.MLP([2, 2]))
    with pytest.raises(ValueError, match=r"estimator is not fitted: MLPClassifier\(\)"):
        from_sklearn(neural.MLPClassifier())
    estimator = fitted(neural.MLPClassifier, CLASSES)
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        from_sklearn(estimator, dtype="int32")
    estimator.coefs_[1] = estimator.coefs_[1][:-1]
    with pytest.raises(ValueError, match=r"estimator\.coefs_\[1\] takes 6 inputs"):
        from_sklearn(estimator)


# -------------------------------------------------------------------------- to


def network(outputs, loss, activation="tanh", hidden=(7, 6), **options):
    net = pynn.MLP([5, *hidden, outputs], activation, loss, **{"seed": 0, **options})
    for b in net.biases:
        b[...] = np.linspace(-1, 1, len(b))
    return net


def tolerance(net):
    return {"rtol": 1e-11} if net.dtype == np.float64 else {"rtol": 2e-5, "atol": 2e-6}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [(), (4,), (7, 6)])
@pytest.mark.parametrize("activation", conversion.HIDDEN)
def test_to_a_classifier(activation, hidden, bias, dtype):
    net = network(3, "softmax_cross_entropy", activation, hidden, bias=bias, dtype=dtype)
    x = X.astype(dtype)
    estimator = to_sklearn(net)
    assert all(a.dtype == dtype for a in (*estimator.coefs_, *estimator.intercepts_))
    np.testing.assert_allclose(estimator.predict_proba(x), net(x), **tolerance(net))
    np.testing.assert_array_equal(estimator.predict(x), net.predict(x))
    again = from_sklearn(estimator)
    assert (again.layer_sizes, again.activations) == (net.layer_sizes, net.activations)


def test_classes_are_the_outputs_in_their_order():
    net = network(3, "softmax_cross_entropy", dtype="float64")
    names = np.array(["pear", "apple", "fig"])
    for classes in (names, list(names), names.astype(object)):
        estimator = to_sklearn(net, classes)
        assert list(estimator.classes_) == ["apple", "fig", "pear"]
        np.testing.assert_allclose(estimator.predict_proba(X), net(X)[:, [1, 2, 0]], rtol=1e-11)
        np.testing.assert_array_equal(estimator.predict(X), names[net.predict(X)])


@pytest.mark.parametrize("classes", [None, [0, 1], ["no", "yes"], ["yes", "no"], [7, -7]])
@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes(outputs, classes):
    loss = "sigmoid_cross_entropy" if outputs == 1 else "softmax_cross_entropy"
    net = network(outputs, loss, dtype="float64")
    # So that both classes occur.
    net.biases[-1][-1] -= np.median(special.logit(net(X)[:, -1]))
    estimator = to_sklearn(net, classes)
    assert estimator.n_outputs_ == 1
    expected = net(X)
    if outputs == 1:
        expected = np.hstack([1 - expected, expected])
    names = np.array([0, 1] if classes is None else classes)
    order = np.argsort(names)
    np.testing.assert_allclose(estimator.predict_proba(X), expected[:, order], rtol=1e-11)
    np.testing.assert_array_equal(estimator.predict(X), names[net.predict(X)])
    assert len(set(estimator.predict(X))) == 2


def test_several_labels():
    net = network(3, "sigmoid_cross_entropy", dtype="float64")
    estimator = to_sklearn(net)
    np.testing.assert_allclose(estimator.predict_proba(X), net(X), rtol=1e-11)
    np.testing.assert_array_equal(estimator.predict(X), net.predict(X))


@pytest.mark.parametrize("loss", ["squared_error", "mse"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_regressors(outputs, loss):
    net = network(outputs, loss, dtype="float64")
    expected = net(X)[:, 0] if outputs == 1 else net(X)
    np.testing.assert_allclose(to_sklearn(net).predict(X), expected, rtol=1e-11)


def test_the_estimator_is_a_whole_one():
    """It can be copied, pickled, scored and fitted further, from the network's parameters."""
    net = network(3, "softmax_cross_entropy", dtype="float64")
    estimator = to_sklearn(net)
    repr(estimator)
    base.clone(estimator)
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict_proba(X), estimator.predict_proba(X))
    assert estimator.n_features_in_ == 5
    labels = net.predict(X)
    assert estimator.score(X, labels) == 1

    # One full-batch step of SGD with a tiny rate: the gradient is that of net's parameters.
    rate = 1e-3
    estimator.set_params(
        solver="sgd", learning_rate_init=rate, momentum=0, alpha=0, batch_size=len(X)
    )
    estimator.partial_fit(X, CLASSES)
    _, dW, db = net.gradients(X, CLASSES)
    for new, old, gradient in zip(estimator.coefs_, net.weights, dW, strict=True):
        np.testing.assert_allclose(new, old - rate * gradient, rtol=1e-9, atol=1e-14)
    for new, old, gradient in zip(estimator.intercepts_, net.biases, db, strict=True):
        np.testing.assert_allclose(new, old - rate * gradient, rtol=1e-9, atol=1e-14)
    assert net.weights[0].flags.owndata is False  # views, and not the estimator's
    assert not np.shares_memory(net.weights[0], estimator.coefs_[0])


def test_numpys_generator_is_left_alone():
    before = str(np.random.get_state())  # noqa: NPY002
    for loss in ("softmax_cross_entropy", "mse"):
        to_sklearn(network(3, loss))
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_errors_of_to_sklearn():
    with pytest.raises(TypeError, match=r"net must be a pynn\.MLP, got int"):
        to_sklearn(3)
    with pytest.raises(ValueError, match=r"one activation for all hidden layers, .* relu, tanh"):
        to_sklearn(network(3, "mse", ["relu", "tanh"]))
    with pytest.raises(ValueError, match=r"output activation must be identity .* net has tanh"):
        to_sklearn(network(3, "mse", output_activation="tanh"))
    with pytest.raises(ValueError, match="a softmax that is always 1"):
        network(1, "softmax_cross_entropy")
    three = network(3, "softmax_cross_entropy")
    with pytest.raises(ValueError, match=r"classes has shape \(2,\), expected \(3,\)"):
        to_sklearn(three, [0, 1])
    with pytest.raises(ValueError, match="classes must differ"):
        to_sklearn(three, [0, 1, 1])
    with pytest.raises(TypeError, match="integers or strings, got dtype float64"):
        to_sklearn(three, [0.5, 1, 2])
    with pytest.raises(ValueError, match="classes must be None, since net's outputs are values"):
        to_sklearn(network(3, "mse"), [0, 1, 2])
    with pytest.raises(ValueError, match=r"classes must be None, .* independent labels"):
        to_sklearn(network(3, "sigmoid_cross_entropy"), [0, 1, 2])


def test_activations_that_scikit_learn_lacks():
    with pytest.raises(ValueError, match=r"no activation 'gelu' \(hidden layer 1\); it has ident"):
        to_sklearn(network(3, "mse", ["relu", "gelu"]))


def test_a_sequential_of_dense_layers():
    L = pynn.layers
    layers = [L.Dense(4, "tanh"), L.Dropout(0.1), L.Dense(3)]
    net = pynn.Sequential(layers, 5, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(9, 5))
    np.testing.assert_allclose(net.to_sklearn().predict_proba(x), net(x), rtol=1e-12)


def test_layers_that_scikit_learn_has_not():
    L = pynn.layers
    cases = {
        r"layer 1 \(BatchNorm\); it has Dense layers": [L.Dense(4), L.BatchNorm(), L.Dense(3)],
        r"layer 0 \(Activation\)": [L.Activation("tanh"), L.Dense(3)],
        r"layer 1 \(Activation\)": [L.Dropout(0.1), L.Activation("relu"), L.Dense(3)],
        r"layer block \(Residual\)": [L.Residual([L.Dense(5)], name="block"), L.Dense(3)],
    }
    for message, layers in cases.items():
        with pytest.raises(ValueError, match=f"scikit-learn cannot express {message}"):
            pynn.Sequential(layers, 5).to_sklearn()
    with pytest.raises(ValueError, match=r"inputs of shape \(6, 5\); it takes vectors"):
        pynn.Sequential([L.Dense(3)], (6, 5)).to_sklearn()
