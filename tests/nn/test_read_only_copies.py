"""Networks and estimators unpickled over memory that must not be written to."""

import copy
import pickle

import numpy as np
import pytest
from numpy_mlp import assert_same_bits

import pynn

# (joblib maps and pickle hands over arrays of any size here; by default from 1 MB on.)
SIZES = [40, 300, 100, 3]
rng = np.random.default_rng(0)
X = rng.normal(size=(24, 40)).astype(np.float32)
y = rng.integers(0, 3, 24)


def by_joblib(thing, folder):
    """`thing` over a file that is mapped into memory."""
    joblib = pytest.importorskip("joblib")
    joblib.dump(thing, folder / "thing.joblib")
    return joblib.load(folder / "thing.joblib", mmap_mode="r")


def out_of_band(thing, kind):
    """`thing` over the buffers of pickle's protocol 5, converted by `kind`."""
    buffers = []
    data = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[kind(buffer) for buffer in buffers])


LOADERS = {
    "joblib": by_joblib,
    "read-only": lambda thing, _: out_of_band(thing, bytes),
    "writable": lambda thing, _: out_of_band(thing, bytearray),
    "the original's": lambda thing, _: out_of_band(thing, lambda buffer: buffer),
    "deepcopy": lambda thing, folder: copy.deepcopy(by_joblib(thing, folder)),
    "in band": lambda thing, _: pickle.loads(pickle.dumps(thing, protocol=5)),
}
OPTIMIZERS = {
    "sgd": lambda: pynn.SGD(0.01),
    "momentum": lambda: pynn.SGD(0.01, momentum=0.9),
    "adam": lambda: pynn.Adam(pynn.ReduceOnPlateau(0.01, monitor="loss", patience=1)),
    "adamw": lambda: pynn.AdamW(clip_norm=1.0),
    "rmsprop": lambda: pynn.RMSprop(momentum=0.5),
}
loaders = pytest.mark.parametrize("loader", LOADERS.values(), ids=list(LOADERS))


def arrays_in(thing, seen=None):
    """All arrays that `thing` holds, whatever holds them."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return []
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, list | tuple):
        parts = list(thing)
    elif isinstance(thing, dict):
        parts = list(thing.values())
    else:
        parts = list(getattr(thing, "__dict__", {}).values())
    if isinstance(thing, pynn.Optimizer):
        parts += list(thing._states.values())
    return [array for part in parts for array in arrays_in(part, seen)]


def assert_apart(twin, original):
    """They share no memory, and the twin's is its own."""
    of_original = [a for a in arrays_in(original) if a.size]
    for array in arrays_in(twin):
        assert not any(np.shares_memory(array, each) for each in of_original)
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert base.flags.writeable
        assert not isinstance(base, np.memmap)


@loaders
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_networks_go_on(loader, name, tmp_path):
    generator = {"adam": np.random.MT19937, "adamw": np.random.Philox}.get(name, np.random.PCG64)
    seed = np.random.Generator(generator(3))
    net = pynn.MLP(SIZES, dropout=0.5, seed=seed)
    net.fit(X, y, epochs=2, batch_size=8, optimizer=OPTIMIZERS[name]())
    twin = loader(net, tmp_path)
    assert_apart(twin, net)
    for each in (net, twin):
        each.fit(X, y, epochs=2, batch_size=8, optimizer=each.optimizer)
        each.train_on_batch(X, y, each.optimizer)
    assert_same_bits(twin, net)
    assert (twin._engine.rng_position == net._engine.rng_position).all()
    assert twin.rng.random() == net.rng.random()


@loaders
def test_a_network_and_its_optimizer(loader, tmp_path):
    net, adam = pynn.MLP(SIZES, seed=0), pynn.Adam()
    net.fit(X, y, epochs=2, batch_size=8, optimizer=adam)
    twin, twin_adam = loader((net, adam), tmp_path)
    for each, optimizer in ((net, adam), (twin, twin_adam)):
        each.fit(X, y, epochs=2, batch_size=8, optimizer=optimizer)
    assert_same_bits(twin, net)


def test_two_networks_of_the_same_buffers():
    """What trains one leaves the other as it is."""
    net = pynn.MLP(SIZES, dropout=0.5, seed=0)
    net.fit(X, y, epochs=1, batch_size=8, optimizer=pynn.Adam())
    buffers = []
    data = pickle.dumps(net, protocol=5, buffer_callback=buffers.append)
    buffers = [bytearray(buffer) for buffer in buffers]
    first, second = (pickle.loads(data, buffers=buffers) for _ in range(2))
    assert_apart(first, second)
    for each in (first, second, net):
        each.fit(X, y, epochs=2, batch_size=8, optimizer=each.optimizer)
    assert_same_bits(first, net)
    assert_same_bits(second, net)


SETTINGS = [
    {"solver": "sgd", "dropout": 0.5},
    {"solver": "sgd", "momentum": 0.0},
    {"solver": "adam"},
    {"solver": "lbfgs", "warm_start": True, "max_iter": 3},
]


# (Each loader and all settings with either estimator.)
@pytest.mark.parametrize(
    ("loader", "settings", "kind"),
    [
        (LOADERS[name], settings, ["MLPClassifier", "MLPRegressor"][(i + j) % 2])
        for i, name in enumerate(LOADERS)
        for j, settings in enumerate(SETTINGS)
    ],
    ids=[f"{name}-{settings}" for name in LOADERS for settings in SETTINGS],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*(STOP|ABNORMAL)")
def test_estimators_go_on(loader, settings, kind, tmp_path):
    package = pytest.importorskip("pynn.sklearn")
    estimator = getattr(package, kind)(
        hidden_layer_sizes=(300, 100), random_state=0, **{"max_iter": 2, **settings}
    ).fit(X, y)
    twin = loader(estimator, tmp_path)
    np.testing.assert_array_equal(twin.predict(X), estimator.predict(X))
    for each in (estimator, twin):
        if settings["solver"] == "lbfgs":
            each.fit(X, y)
        else:
            each.partial_fit(X, y).partial_fit(X, y)
    for ours, theirs in zip(
        twin.coefs_ + twin.intercepts_, estimator.coefs_ + estimator.intercepts_, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    twin.coefs_[0][...] = 0  # they are live
    assert not np.array_equal(twin.predict(X), estimator.predict(X))
