"""The defaults of `fit` train as well as scikit-learn's estimators, and each option that is passed
alone has its documented effect."""

import inspect
import itertools
import warnings

import numpy as np
import pytest
from numpy_mlp import NumpyMLP, assert_close, assert_same_bits, make_samples, parameters_of

import pynn
from pynn.plan import FIT_DEFAULTS
from pynn.sources import default_epochs

# (The digits take scikit-learn as long as all the others together.)
SEEDS = {"digits": 3}


def standardized(part, rest):
    mean, std = part.mean(axis=0), part.std(axis=0)
    std = np.where(std == 0, 1, std)
    return (part - mean) / std, (rest - mean) / std


def load(name):
    datasets = pytest.importorskip("sklearn.datasets")
    if name == "make_moons":
        return datasets.make_moons(500, noise=0.2, random_state=0)
    if name == "make_friedman1":
        return datasets.make_friedman1(500, noise=1.0, random_state=0)
    return getattr(datasets, f"load_{name}")(return_X_y=True)


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("digits", 10), ("wine", 3), ("iris", 3), ("breast_cancer", 2), ("make_moons", 2),
     ("diabetes", None), ("make_friedman1", None)],
)  # fmt: skip
def test_a_fit_without_options_is_as_good_as_scikit_learns_estimators(name, outputs):
    """At most 0.01 of accuracy, or 0.02 of R², below; the means of several splits and seeds."""
    neural = pytest.importorskip("sklearn.neural_network")
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    split = pytest.importorskip("sklearn.model_selection").train_test_split
    X, y = load(name)
    own, theirs = [], []
    for seed in range(SEEDS.get(name, 5)):
        stratify = None if outputs is None else y
        train, test, y_train, y_test = split(X, y, random_state=seed, stratify=stratify)
        train, test = standardized(train, test)
        if outputs is None:
            y_train, y_test = standardized(y_train, y_test)
            net = pynn.MLP([X.shape[1], 100, 1], loss="mse", seed=seed)
            estimator = neural.MLPRegressor(random_state=seed)
        else:
            net = pynn.MLP([X.shape[1], 100, outputs], seed=seed)
            estimator = neural.MLPClassifier(random_state=seed)
        with warnings.catch_warnings(), limits(1):
            warnings.simplefilter("ignore")  # (of its 200 epochs, which are its default)
            theirs.append(estimator.fit(train, y_train).score(test, y_test))
        with pynn.threads(1):
            net.fit(train, y_train)
        own.append(net.score(test, y_test))
    assert np.mean(own) >= np.mean(theirs) - (0.02 if outputs is None else 0.01), (own, theirs)


# ----------------------------------------------------------- each option alone

X, Y = make_samples("softmax_cross_entropy", 80, 4, 3, labels=True)


def make():
    return pynn.MLP([4, 6, 3], "tanh", dtype="float64", seed=0)


def batches(size=32, x=X, y=Y):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


class Loader:
    """Mini-batches without a length, the same in each epoch."""

    def __iter__(self):
        return iter(batches())


class Sized(Loader):
    def __len__(self):
        return 3


def numpy_adam(net, epochs, batch_size=32, rate=0.001):
    """Adam in NumPy, Kingma and Ba (2015), on shuffled mini-batches."""
    twin = NumpyMLP(net)
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in twin.parameters]
    t = 0
    for _ in range(epochs):
        order = twin.rng.permutation(len(X))
        for i in range(0, len(X), batch_size):
            rows, t = order[i : i + batch_size], t + 1
            gradients = twin.gradients(X[rows], Y[rows])
            for p, (m, v), g in zip(twin.parameters, moments, gradients, strict=True):
                m[...] = 0.9 * m + 0.1 * g
                v[...] = 0.999 * v + 0.001 * g**2
                p[...] -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return twin


@pytest.mark.parametrize(
    ("options", "epochs", "rate"),
    [({}, 267, 0.001), ({"epochs": 7}, 7, 0.001), ({"learning_rate": 0.02}, 267, 0.02)],
)
def test_adam_in_numpy(options, epochs, rate):
    net = make()
    expected = numpy_adam(net, epochs, rate=rate)
    history = net.fit(X, Y, **options)
    assert len(history) == epochs
    assert_close(parameters_of(net), expected, 1e-8)


# What is given, and the same with everything said.
MEANINGS = {
    "nothing": ({}, {"optimizer": pynn.Adam, "epochs": 267}),
    "epochs": ({"epochs": 3}, {"optimizer": pynn.Adam, "epochs": 3}),
    "batch_size": ({"batch_size": 7}, {"optimizer": pynn.Adam, "epochs": 100, "batch_size": 7}),
    "all samples": (
        {"batch_size": 1000},
        {"optimizer": pynn.Adam, "epochs": 800, "batch_size": 80},
    ),
    "a rate": ({"learning_rate": 0.1}, {"optimizer": lambda: pynn.Adam(0.1), "epochs": 267}),
    "a schedule": (
        {"learning_rate": pynn.CosineDecay(0.1, 50)},
        {"optimizer": lambda: pynn.Adam(pynn.CosineDecay(0.1, 50)), "epochs": 267},
    ),
    "sgd": ({"optimizer": "sgd"}, {"optimizer": lambda: pynn.SGD(0.01), "epochs": 267}),
    "AdamW": (
        {"optimizer": "AdamW"},
        {"optimizer": lambda: pynn.AdamW(0.001, weight_decay=0.01), "epochs": 267},
    ),
    "RMSprop": ({"optimizer": "RMSprop"}, {"optimizer": lambda: pynn.RMSprop(0.001, 0.9)}),
    "a name and a rate": (
        {"optimizer": "sgd", "learning_rate": 0.3},
        {"optimizer": lambda: pynn.SGD(0.3), "epochs": 267},
    ),
    "an object": ({"optimizer": pynn.SGD(0.2)}, {"optimizer": lambda: pynn.SGD(0.2)}),
    "an object and a rate": (
        {"optimizer": pynn.SGD(0.2, momentum=0.9), "learning_rate": 0.05},
        {"optimizer": lambda: pynn.SGD(0.05, momentum=0.9)},
    ),
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_what_is_given_alone(meaning):
    given, said = MEANINGS[meaning]
    said = {"epochs": 267, "batch_size": 32, **said, "optimizer": said["optimizer"]()}
    net, twin = make(), make()
    history = net.fit(X, Y, **given)
    assert len(history) == said["epochs"]
    assert history.loss == twin.fit(X, Y, **said).loss
    assert_same_bits(net, twin)
    assert repr(net.optimizer) == repr(twin.optimizer)


def test_a_rate_beside_an_object_leaves_the_object_as_it_was():
    sgd, net, twin = pynn.SGD(0.2, momentum=0.9), make(), make()
    net.fit(X, Y, epochs=1, optimizer=sgd)
    net.fit(X, Y, epochs=2, optimizer=sgd, learning_rate=0.01)
    assert sgd.learning_rate == 0.2
    other = pynn.SGD(0.2, momentum=0.9)
    twin.fit(X, Y, epochs=1, optimizer=other)
    other.learning_rate = 0.01
    twin.fit(X, Y, epochs=2)
    assert_same_bits(net, twin)


SOURCES = {
    "an iterator": (lambda: iter(batches()), {}, 1),
    "a generator": (lambda: (batch for batch in batches()), {}, 1),
    "a list": (batches, {}, 267),
    "a tuple": (lambda: tuple(batches()), {}, 267),
    "a loader with a length": (Sized, {}, 267),
    "a loader without a length": (Loader, {}, 10),
    "a loader and epochs": (Loader, {"epochs": 4}, 4),
    "an endless generator": (
        lambda: itertools.cycle(batches()),
        {"steps_per_epoch": 3},
        267,
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_mini_batches(source):
    made, options, epochs = SOURCES[source]
    net, twin = make(), make()
    history = net.fit(made(), **options)
    assert len(history) == epochs
    for _ in range(epochs * options.get("steps_per_epoch", 3) // 3):
        twin.fit(X, Y, epochs=1, batch_size=32, shuffle=False)
    assert_same_bits(net, twin)


def test_an_epoch_of_many_mini_batches(monkeypatch):
    monkeypatch.setattr(pynn.sources, "DEFAULT_STEPS", 60)
    assert len(make().fit(itertools.cycle(batches()), steps_per_epoch=2)) == 30
    assert len(make().fit(Sized())) == 20
    assert len(make().fit(X, Y)) == 20
    assert len(make().fit(X, Y, batch_size=1)) == 10


def test_a_list_that_is_no_list_of_mini_batches_is_one_of_samples():
    net = make()
    for given in (X.tolist(), [tuple(row) for row in X], [], [(1.0, 2.0)], (X, Y)):
        with pytest.raises(TypeError, match="without y, X must give mini-batches"):
            net.fit(given)


@pytest.mark.parametrize(
    ("steps", "epochs"),
    [
        (None, 10),
        (1, 800),
        (3, 267),
        (7, 115),
        (8, 100),
        (200, 100),
        (201, 99),
        (400, 50),
        (2000, 10),
        (10**9, 10),
    ],
)
def test_epochs_of_small_and_large_data(steps, epochs):
    assert default_epochs(steps) == epochs


def test_a_fit_of_many_mini_batches_has_20_000_of_them():
    net = pynn.MLP([1, 1], loss="mse", seed=0)
    history = net.fit(np.zeros((500, 1)), np.zeros(500), batch_size=1)
    assert len(history) == 40


# ---------------------------------------------------------------- a further fit


@pytest.mark.parametrize(
    "further", [{}, {"optimizer": "adam"}, {"optimizer": "Adam"}, {"learning_rate": 0.001}], ids=str
)
def test_a_further_fit_goes_on(further):
    net, twin = make(), make()
    net.fit(X, Y, epochs=2)
    net.fit(X, Y, epochs=3, **further)
    twin.fit(X, Y, epochs=5, optimizer=pynn.Adam())
    assert_same_bits(net, twin)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "sgd"])
def test_a_name_twice_is_one_longer_fit(name):
    net, twin = make(), make()
    kinds = {"adam": pynn.Adam, "adamw": pynn.AdamW, "rmsprop": pynn.RMSprop, "sgd": pynn.SGD}
    for options in ({"optimizer": name}, {"optimizer": name, "learning_rate": 0.02}):
        net.fit(X, Y, epochs=2, **options)
        net.fit(X, Y, epochs=2, **options)
    twin.fit(X, Y, epochs=4, optimizer=kinds[name]())
    twin.fit(X, Y, epochs=4, optimizer=kinds[name](0.02))
    assert_same_bits(net, twin)


def test_another_name_begins_with_a_new_state():
    net, twin = make(), make()
    net.fit(X, Y, epochs=2)
    net.fit(X, Y, epochs=1, optimizer="sgd")
    net.fit(X, Y, epochs=2, optimizer="adam")
    twin.fit(X, Y, epochs=2, optimizer=pynn.Adam())
    twin.fit(X, Y, epochs=1, optimizer=pynn.SGD())
    twin.fit(X, Y, epochs=2, optimizer=pynn.Adam())
    assert_same_bits(net, twin)


def test_a_rate_alone_keeps_the_state():
    net, twin, adam = make(), make(), pynn.Adam()
    net.fit(X, Y, epochs=2)
    net.fit(X, Y, epochs=2, learning_rate=0.03)
    twin.fit(X, Y, epochs=2, optimizer=adam)
    adam.learning_rate = 0.03
    twin.fit(X, Y, epochs=2, optimizer=adam)
    assert_same_bits(net, twin)
    assert net.optimizer.learning_rate == 0.03


def test_a_rate_alone_leaves_the_callers_optimizer():
    """It may train other networks, too."""
    net, adam = make(), pynn.Adam()
    net.fit(X, Y, epochs=1, optimizer=adam)
    net.fit(X, Y, epochs=1, learning_rate=0.03)
    net.train_on_batch(X, Y, learning_rate=0.05)
    assert adam.learning_rate == 0.001
    assert net.optimizer.learning_rate == 0.05


@pytest.mark.parametrize("options", [{"learning_rate": -1}, {"optimizer": "nadam"}], ids=str)
def test_what_fails_changes_nothing(options):
    net = make()
    net.fit(X, Y, epochs=1)
    before, optimizer, shown = parameters_of(net), net.optimizer, repr(net.optimizer)
    for call in (net.fit, net.train_on_batch):
        with pytest.raises(ValueError, match=r"learning_rate|optimizer"):
            call(X, Y, **options)
    assert_same_bits(net, before)
    assert net.optimizer is optimizer
    assert repr(optimizer) == shown


@pytest.mark.parametrize("options", [{}, {"optimizer": "adam"}, {"optimizer": "SGD"}], ids=str)
def test_train_on_batch_in_a_loop(options):
    net, twin = make(), make()
    optimizer = pynn.SGD() if options == {"optimizer": "SGD"} else pynn.Adam()
    for x, y in batches():
        assert net.train_on_batch(x, y, **options) == twin.train_on_batch(x, y, optimizer)
    assert_same_bits(net, twin)


def test_the_default_initialization_is_glorots():
    net = pynn.MLP([400, 300, 3], dtype="float64", seed=4)
    rng = np.random.default_rng(4)
    for weight in net.weights:
        limit = np.sqrt(6 / sum(weight.shape))
        np.testing.assert_allclose(weight, rng.uniform(-limit, limit, weight.shape), rtol=1e-15)


@pytest.mark.parametrize("function", [pynn.MLP.fit, pynn.fit_many])
def test_the_options_of_a_fit_are_in_one_table(function):
    parameters = inspect.signature(function).parameters
    own = {name: p.default for name, p in parameters.items() if name in FIT_DEFAULTS}
    assert own == {name: FIT_DEFAULTS[name] for name in own}
    others = {
        pynn.MLP.fit: {"self", "X", "y"},
        pynn.fit_many: {"models", "X", "y", "cv", "refit", "seed", "on_error"},
    }
    assert parameters.keys() - own.keys() == others[function]
    missing = {pynn.MLP.fit: set(), pynn.fit_many: {"steps_per_epoch"}}
    assert FIT_DEFAULTS.keys() - own.keys() == missing[function]
