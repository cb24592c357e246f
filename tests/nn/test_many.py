"""Many networks in one call, each with the results of training it alone."""

import copy
import json
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples, parameters_of, run_python
from sanitizers import HAS_THREADS

import pynn
from pynn.many import fit_many
from pynn.many.folds import stratified_folds

X, Y = make_samples("softmax_cross_entropy", 90, 4, 3, labels=True)
OPTIMIZERS = {
    "momentum": lambda: pynn.SGD(0.05, momentum=0.9),
    "adam": lambda: pynn.Adam(0.01),
    "schedule": lambda: pynn.SGD(
        pynn.ReduceOnPlateau(0.1, monitor="loss", patience=0, min_delta=0.1)
    ),
}


@pytest.fixture(autouse=True)
def _thread_count_is_restored():
    with pynn.threads(None):
        yield


def networks(count=5, **settings):
    return [pynn.MLP([4, 6 + i, 3], dropout=0.2, seed=i, **settings) for i in range(count)]


def figures(history):
    return {k: v for k, v in history.to_dict().items() if k != "seconds"}


# ------------------------------------------------------------- as if each were alone


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_networks_get_the_bits_that_they_get_alone(optimizer, threads):
    arguments = {"batch_size": 16, "metrics": "accuracy", "validation_split": 0.2}
    nets = networks()
    with pynn.threads(threads):
        result = fit_many(nets, X, Y, epochs=4, optimizer=optimizer(), **arguments)
        again = fit_many(nets, X, Y, epochs=2, **arguments)  # continues, with its own optimizer
    for net, twin, first, second, model in zip(
        nets, networks(), result.histories, again.histories, result, strict=True
    ):
        assert model is net
        assert figures(twin.fit(X, Y, epochs=4, optimizer=optimizer(), **arguments)) == figures(
            first
        )
        assert figures(twin.fit(X, Y, epochs=2, **arguments)) == figures(second)
        assert_same_bits(net, twin)
        assert net.rng.bit_generator.state == twin.rng.bit_generator.state


def test_networks_large_enough_for_threads():
    """Alone they would use two threads; here each has one."""
    x, y = make_samples("mse", 256, 300, 10)
    nets, alone = (
        [pynn.MLP([300, 200, 10], loss="mse", seed=i) for i in range(3)] for _ in range(2)
    )
    with pynn.threads(2):
        fit_many(nets, x, y, epochs=2, batch_size=128)
        for net, twin in zip(nets, alone, strict=True):
            twin.fit(x, y, epochs=2, batch_size=128)
            assert_same_bits(net, twin)


def test_points_of_a_grid_can_be_rebuilt_alone():
    grid = {"hidden": [8, (5, 6)], "l2": np.array([0.0, 0.1]), "learning_rate": [0.1, 0.02]}
    result = fit_many(grid, X, Y, epochs=3, optimizer=pynn.SGD(momentum=0.5), seed=7)
    assert [p["hidden"] for p in result.parameters] == [8] * 4 + [(5, 6)] * 4
    assert [p["learning_rate"] for p in result.parameters] == [0.1, 0.02] * 4
    seeds = np.random.SeedSequence(7).spawn(8)
    for net, point, row, seed in zip(result, result.parameters, result.table, seeds, strict=True):
        hidden = (8,) if point["hidden"] == 8 else (5, 6)
        alone = pynn.MLP([4, *hidden, 3], l2=point["l2"], seed=seed)
        history = alone.fit(
            X, Y, epochs=3, optimizer=pynn.SGD(point["learning_rate"], momentum=0.5)
        )
        assert_same_bits(net, alone)
        assert row["loss"] == history.loss[-1]
        assert {k: row[k] for k in point} == point


def test_points_with_arguments_of_fit():
    points = [
        {"layer_sizes": [4, 5, 3], "seed": 3, "epochs": 2, "batch_size": 10},
        {"hidden": 5, "seed": 4, "optimizer": pynn.Adam(0.1), "class_weight": "balanced"},
    ]
    result = fit_many(points, X, Y, epochs=1)
    first, second = pynn.MLP([4, 5, 3], seed=3), pynn.MLP([4, 5, 3], seed=4)
    first.fit(X, Y, epochs=2, batch_size=10)
    second.fit(X, Y, epochs=1, optimizer=pynn.Adam(0.1), class_weight="balanced")
    assert_same_bits(result[0], first)
    assert_same_bits(result[1], second)
    assert result.table[0]["batch_size"] == 10
    assert [row["epoch"] for row in result.table] == [2, 1]


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        ("softmax_cross_entropy", Y, 3),
        ("softmax_cross_entropy", np.zeros(90, int), 2),
        ("softmax_cross_entropy", np.eye(3)[Y], 3),
        ("sigmoid_cross_entropy", Y > 0, 1),
        ("sigmoid_cross_entropy", Y, 3),
        ("mse", X[:, 0], 1),
        ("mse", X, 4),
        ("poisson", Y, 1),
    ],
)
def test_inputs_and_outputs_follow_from_the_samples(loss, y, outputs):
    result = fit_many({"hidden": [2], "loss": [loss]}, X, y)
    assert result[0].layer_sizes == (4, 2, outputs)
    assert result.table[0]["param_loss"] == loss
    assert np.isfinite(result.table[0]["loss"])


def test_callbacks_and_optimizers_are_each_networks_own():
    stop = pynn.EarlyStopping("loss", patience=1, min_delta=0.05)
    adam = pynn.Adam(0.05)
    nets = networks(4)
    result = fit_many(nets, X, Y, epochs=30, optimizer=adam, callbacks=[stop])
    assert stop.best is None
    assert len(adam._states) == 0
    for net, twin, row, history in zip(
        nets, networks(4), result.table, result.histories, strict=True
    ):
        own = copy.deepcopy(stop)
        twin.fit(X, Y, epochs=30, optimizer=pynn.Adam(0.05), callbacks=[own])
        assert_same_bits(net, twin)
        assert len(history) == own.stopped_epoch
        assert row["epoch"] == own.best_epoch
        assert row["loss"] == own.best


def test_one_optimizer_for_each_network():
    optimizers = [pynn.SGD(0.1), pynn.Adam(0.01)]
    nets = networks(2)
    fit_many(nets, X, Y, epochs=1, optimizer=optimizers)
    assert [net.optimizer for net in nets] == optimizers
    for net, twin, make in zip(
        nets, networks(2), (lambda: pynn.SGD(0.1), lambda: pynn.Adam(0.01)), strict=True
    ):
        twin.fit(X, Y, epochs=1, optimizer=make())
        assert_same_bits(net, twin)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.skipif(not HAS_THREADS, reason="built for one thread")
@pytest.mark.parametrize("interrupted", [False, True])
def test_the_caller_sleeps_while_threads_work(monkeypatch, interrupted):
    # One network of two sleeps in its callback, while the other one is done. (How often the caller
    # looks at its threads shows busy waiting on a busy machine, too.)
    looks, is_alive = [], threading.Thread.is_alive

    def look(thread):
        looks.append(thread)
        return is_alive(thread)

    def interrupt(*_):
        raise TimeoutError

    points = [{"hidden": 4, "callbacks": lambda *_: time.sleep(1)}, {"hidden": 5}]
    handler = signal.signal(signal.SIGALRM, interrupt)
    monkeypatch.setattr(threading.Thread, "is_alive", look)
    start = time.monotonic()
    try:
        with pynn.threads(2), pytest.raises(TimeoutError) if interrupted else nullcontext():
            signal.setitimer(signal.ITIMER_REAL, 0.2 if interrupted else 0)
            fit_many(points, X, Y, epochs=1, seed=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    seconds = time.monotonic() - start
    assert seconds > 0.9
    assert len(looks) < 20 + 100 * seconds


# ------------------------------------------------------------------ cross-validation


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("labels", [None, Y, np.r_[np.zeros(80, int), np.ones(10, int)]])
def test_folds(count, labels):
    folds = stratified_folds(count, 90, labels, np.random.default_rng(0))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(90))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(90))
    classes = np.zeros(90, int) if labels is None else labels
    counts = np.array([np.bincount(classes[test], minlength=3) for _, test in folds])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert (folds[0][1] != np.arange(len(folds[0][1]))).any()  # shuffled


WEIGHTS = np.random.default_rng(3).random(90)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"shuffle": False},
        {"sampling": "replacement"},
        {"validation_split": 0.25, "metrics": ["accuracy"]},
        {"sample_weight": WEIGHTS},
        {"class_weight": "balanced"},
        {"class_weight": {0: 2.0}, "sample_weight": WEIGHTS},
        {"callbacks": [type("Each", (pynn.Callback,), {"on_batch_end": lambda *_: None})()]},
        {"callbacks": [type("Each", (pynn.Callback,), {"on_batch_end": lambda *_: None})()],
         "shuffle": False},
    ],
    ids=str,
)  # fmt: skip
def test_folds_are_trained_as_copies_of_their_samples(arguments):
    rng = np.random.default_rng(5)
    folds = [(rng.permutation(90)[:60], rng.permutation(90)[:20]) for _ in range(3)]
    points = [{"hidden": (5,), "dropout": 0.1}, {"hidden": (7,), "seed": 1}]
    result = fit_many(points, X, Y, epochs=3, batch_size=8, seed=0, cv=iter(folds), **arguments)
    seeds = np.random.SeedSequence(0).spawn(2)
    for i, row in enumerate(result.table):
        scores = []
        for k, (train, test) in enumerate(folds):
            arguments_here, weights = dict(arguments), {}
            if "sample_weight" in arguments:
                arguments_here["sample_weight"] = WEIGHTS[train]
                weights = {"sample_weight": WEIGHTS[test]}
            settings = {"dropout": 0.1, "seed": seeds[0]} if i == 0 else {"seed": 1}
            alone = pynn.MLP([4, 5 + 2 * i, 3], **settings)
            history = alone.fit(X[train], Y[train], epochs=3, batch_size=8, **arguments_here)
            assert_same_bits(result[i][k], alone)
            assert figures(result.histories[i][k]) == figures(history)
            scores.append(alone.evaluate(X[test], Y[test], **weights))
        for name in ("loss", "accuracy"):
            values = [score[name] for score in scores]
            np.testing.assert_allclose(row[f"test_{name}"], np.mean(values), rtol=1e-12)
            np.testing.assert_allclose(row[f"test_{name}_std"], np.std(values), rtol=1e-9)


@pytest.mark.parametrize("absent", [[2], [0], [1, 2], [0, 1, 2]])
def test_classes_of_the_test_samples_only_take_no_part_in_balanced_weights(absent):
    utils = pytest.importorskip("sklearn.utils")
    held = np.flatnonzero(np.isin(Y, absent))[1 if len(absent) == 3 else 0 :]
    train = np.setdiff1d(np.arange(90), held)
    nets = [pynn.MLP([4, 5, 3], seed=0)]
    options = {"epochs": 3, "batch_size": 8}
    result = fit_many(nets, X, Y, cv=[(train, held)], seed=0, class_weight="balanced", **options)
    weights = utils.compute_sample_weight("balanced", Y[train])
    alone = pynn.MLP([4, 5, 3], seed=0)
    alone.fit(X[train], Y[train], sample_weight=weights, **options)
    assert_same_bits(result[0][0], alone)


def test_networks_in_a_cross_validation_stay_as_they_are():
    nets = networks(2)
    nets[0].fit(X, Y, optimizer=pynn.Adam(0.01))
    before = [parameters_of(net) for net in nets]
    twin = copy.deepcopy(nets[0])
    result = fit_many(nets, X, Y, epochs=2, cv=3, seed=0)
    for net, old in zip(nets, before, strict=True):
        assert_same_bits(net, old)
    assert nets[0].optimizer._states[nets[0]].steps[0] == twin.optimizer._states[twin].steps[0]
    folds = stratified_folds(3, 90, Y, np.random.default_rng(0))
    twin.fit(X[folds[0][0]], Y[folds[0][0]], epochs=2)  # from where it was, Adam's moments included
    assert_same_bits(result[0][0], twin)


def test_an_optimizer_that_knows_the_network_goes_on_in_each_fold():
    (net,) = networks(1)
    adam = pynn.Adam(0.01)
    net.fit(X, Y, epochs=1, optimizer=adam)
    net.fit(X, Y, epochs=1, optimizer=pynn.SGD(0.01))
    twin, twin_adam = copy.deepcopy((net, adam))
    result = fit_many([net], X, Y, epochs=2, optimizer=adam, cv=[(range(60), range(60, 90))])
    twin.fit(X[:60], Y[:60], epochs=2, optimizer=twin_adam)
    assert_same_bits(result[0][0], twin)
    assert list(adam._states) == [net]
    assert adam._states[net].steps[0] == 3


def test_masks_are_folds_too():
    mask = np.arange(90) < 60
    (by_mask,) = fit_many({"hidden": [3]}, X, Y, cv=[(mask, ~mask)], seed=0)
    pair = (np.arange(60), np.arange(60, 90))
    (by_index,) = fit_many({"hidden": [3]}, X, Y, cv=[pair], seed=0)
    assert_same_bits(by_mask[0], by_index[0])


# ------------------------------------------------------------------- what goes wrong


def fails(net, history):
    if net.layer_sizes[1] == 7 and len(history) == 2:
        raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("cv", [None, 3])
def test_an_error_does_not_lose_the_others(cv):
    with pytest.warns(RuntimeWarning, match=r"1 of 3 .*models\[1\].*ZeroDivisionError: on purpose"):
        result = fit_many(networks(3), X, Y, epochs=3, callbacks=fails, cv=cv, seed=0)
    row = result.table[1]
    assert "ZeroDivisionError: on purpose" in row["error"]
    assert np.isnan(row["loss"])
    assert [bool(row["error"]) for row in result.table] == [False, True, False]
    assert result.ranking()[-1] == 1
    assert "1 failed" in repr(result)
    if cv is None:
        assert len(result.histories[1]) == 2
        for net, twin in zip(result, networks(3), strict=True):
            twin.fit(X, Y, epochs=2 if net is result[1] else 3)
            assert_same_bits(net, twin)


def test_divergence_is_recorded():
    rates = {"hidden": [5], "learning_rate": [1e30, 0.1]}
    with pytest.warns(RuntimeWarning, match="learning_rate=1e"):
        result = fit_many(rates, 100 * X, Y, epochs=5)
    assert "FloatingPointError" in result.table[0]["error"]
    assert result.best()["learning_rate"] == 0.1


def test_all_failed():
    with pytest.warns(RuntimeWarning, match="2 of 2"):
        result = fit_many([{"hidden": 7}] * 2, X, Y, epochs=2, callbacks=fails)
    with pytest.raises(ValueError, match="all 2 models failed"):
        result.best()
    assert "2 failed" in repr(result)


@pytest.mark.parametrize("exception", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_exception_ends_all(exception):
    """By on_error, or since it is no error."""

    def fail(net, history):
        if net.layer_sizes[1] == 7:
            raise exception("on purpose")

    before = threading.active_count()
    nets = networks(3)
    with pytest.raises(exception, match="on purpose"), pynn.threads(3):
        fit_many(nets, X, Y, epochs=10**6, callbacks=fail, on_error="raise")
    assert threading.active_count() == before
    for net in nets:
        net.fit(X, Y)  # no fit trains it


PROGRAM = """
import json, os, signal, sys, threading, time
import numpy as np
import pynn, pynn.many

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
rows, threads = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(500, 64)).astype("f4"), rng.normal(size=(500, 32)).astype("f4")
if rows > 500:  # one epoch of minutes, without the memory for it
    x, y = (np.broadcast_to(a[:1], (rows, a.shape[1])) for a in (x, y))
make = lambda: [pynn.MLP([64, 100, 32], "tanh", "mse", seed=i) for i in range(3)]
nets, interrupted = make(), {}
pynn.set_num_threads(threads)
start = [net.weights[0].copy() for net in nets]

def moved(i):
    return (nets[i].weights[0] != start[i]).any()

def interrupt():
    while sum(map(moved, range(3))) < threads:
        time.sleep(0.01)
    time.sleep(0.1)
    interrupted["at"] = time.monotonic(), time.process_time()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
seconds = None
try:
    pynn.many.fit_many(nets, x, y, epochs=10**9, batch_size=100, shuffle=False,
                       optimizer=pynn.SGD(0.001))
except KeyboardInterrupt:
    seconds = [time.monotonic(), time.process_time()]
    seconds = [now - then for now, then in zip(seconds, interrupted["at"])]
left = threading.active_count()
# Step by step to the same weights: they are those of a whole number of mini-batches.
steps = []
for net, again in zip(nets, make()):
    sgd = pynn.SGD(0.001)
    for step in range(100_000):
        if net._engine.parameters.tobytes() == again._engine.parameters.tobytes():
            steps.append(step)
            break
        at = 0 if rows > 500 else step % 5 * 100
        again.train_on_batch(x[at:at + 100], y[at:at + 100], sgd)
print(json.dumps([seconds, left, steps]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [500, 10**8])
def test_ctrl_c(tmp_path, rows, threads):
    if not HAS_THREADS:
        threads = 1
    output = run_python(PROGRAM, tmp_path, json.dumps([rows, threads]))
    seconds, left, steps = json.loads(output)
    assert seconds is not None
    wall, processor = seconds
    assert (
        wall < 10
    )  # on a machine with much else to do; the processor's time does not depend on it
    assert processor < 0.1 * threads + 0.05
    assert left <= 2  # this one, and perhaps the one that sent the signal
    assert len(steps) == 3, "weights are not those after any whole mini-batch"
    assert sum(step > 0 for step in steps) == threads


def test_each_fit_has_one_thread():
    seen = []
    with pynn.threads(3):
        before = pynn.get_num_threads()
        fit_many(
            networks(3), X, Y, epochs=1, callbacks=lambda *_: seen.append(pynn.get_num_threads())
        )
        assert pynn.get_num_threads() == before
    assert seen == [1, 1, 1]


def test_fits_run_at_the_same_time():
    """A callback of each of two networks waits for the other's."""
    if not HAS_THREADS:
        pytest.skip("serial build: one thread")
    meeting = threading.Barrier(2)
    places = []

    def wait(net, history):
        places.append(meeting.wait(timeout=60))

    with pynn.threads(2):
        fit_many(networks(2), X, Y, epochs=1, callbacks=wait, on_error="raise")
    assert sorted(places) == [0, 1]


# ------------------------------------------------------------------------- the result


def test_result(monkeypatch):
    nets = networks(12)
    result = fit_many(nets, X, Y, epochs=2, validation_data=(X, Y), metrics="accuracy")
    assert len(result) == 12
    assert list(result) == nets == result[:]
    assert result[-1] is nets[-1]
    row = result.best()
    assert row["val_loss"] == min(h["val_loss"][-1] for h in result.histories)
    best = result.best("val_accuracy")
    assert best["val_accuracy"] == max(h["val_accuracy"][-1] for h in result.histories)
    assert result.best("seconds", "max")["seconds"] == max(r["seconds"] for r in result.table)
    lines = repr(result).splitlines()
    assert len(lines) == 2 + 10
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[2].split()[0] == str(row["model"])
    assert lines[0] == "FitManyResult: 12 models by val_loss, the best 10"
    with pytest.raises(ValueError, match=r"by='auc'.*'val_loss'"):
        result.best("auc")
    with pytest.raises(ValueError, match="mode"):
        result.best("seconds")
    with pytest.raises(TypeError, match="by must"):
        result.best(3)


def test_to_pandas():
    pandas = pytest.importorskip("pandas")
    points = [
        {"hidden": 3, "batch_size": 8, "shuffle": False, "loss": "softmax_cross_entropy"},
        {"hidden": 4, "l2": 0.1, "optimizer": pynn.SGD()},
    ]
    result = fit_many(points, X, Y, epochs=2, cv=2, seed=0)
    table = result.to_pandas()
    assert table["hidden"].tolist() == [3, 4]
    assert table.loc[1, "loss"] == result.table[1]["loss"]
    assert list(table) == [
        *("hidden", "batch_size", "shuffle", "param_loss", "l2", "optimizer", "epoch"),
        *("loss", "test_loss", "test_loss_std", "test_accuracy", "test_accuracy_std"),
        *("seconds", "error"),
    ]
    kinds = {name: str(dtype) for name, dtype in table.dtypes.items()}
    assert kinds["hidden"] == kinds["epoch"] == "int64"
    assert kinds["batch_size"] == "Int64"
    assert kinds["shuffle"] == "boolean"
    assert kinds["l2"] == kinds["loss"] == kinds["seconds"] == "float64"
    assert table["batch_size"].isna().tolist() == [False, True]
    assert table["optimizer"][1] is points[1]["optimizer"]
    assert pandas.isna(table["optimizer"][0])


# ------------------------------------------------------------- what a grid's values mean


def weights_of(net):
    return [array.copy() for array in (*net.weights, *net.biases)]


RATES = {
    "rate": ({"learning_rate": 0.02}, {}, lambda: pynn.Adam(0.02)),
    "name": ({"optimizer": "RMSprop"}, {}, pynn.RMSprop),
    "name and rate": ({"optimizer": "sgd", "learning_rate": 0.3}, {}, lambda: pynn.SGD(0.3)),
    "object and rate": (
        {"optimizer": pynn.SGD(0.5, momentum=0.9), "learning_rate": 0.1},
        {},
        lambda: pynn.SGD(0.1, momentum=0.9),
    ),
    "rate for all": ({}, {"learning_rate": 0.02}, lambda: pynn.Adam(0.02)),
    "name for all": ({}, {"optimizer": "adamw"}, pynn.AdamW),
    "rate of the point": ({"learning_rate": 0.1}, {"optimizer": "sgd"}, lambda: pynn.SGD(0.1)),
    "point before all": (
        {"learning_rate": 0.1, "optimizer": "sgd"},
        {"learning_rate": 0.2, "optimizer": "adam"},
        lambda: pynn.SGD(0.1),
    ),
    "one for each": ({}, {"optimizer": ["rmsprop"]}, pynn.RMSprop),
}


@pytest.mark.parametrize(("point", "shared", "make"), RATES.values(), ids=list(RATES))
def test_optimizers_by_name_and_rate(point, shared, make):
    result = fit_many([{"layer_sizes": (4, 5, 3), "seed": 1, **point}], X, Y, epochs=3, **shared)
    alone = pynn.MLP([4, 5, 3], seed=1)
    alone.fit(X, Y, epochs=3, optimizer=make())
    assert_same_bits(result[0], alone)


def test_a_rate_for_networks_that_have_been_trained():
    """The moments are kept, with the new rate."""
    nets, twins = networks(2), networks(2)
    for net in (*nets, *twins):
        net.fit(X, Y, epochs=2, optimizer=pynn.Adam(0.01))
    fit_many(nets, X, Y, epochs=2, learning_rate=0.2)
    for net, twin in zip(nets, twins, strict=True):
        twin.optimizer.learning_rate = 0.2
        twin.fit(X, Y, epochs=2)
        assert_same_bits(net, twin)


def test_a_schedule_for_all_is_each_networks_own():
    schedule = pynn.ReduceOnPlateau(0.1, monitor="loss", patience=0, min_delta=0.1)
    nets = networks(3)
    with pynn.threads(3):
        fit_many(nets, X, Y, epochs=6, learning_rate=schedule)
    for net, twin in zip(nets, networks(3), strict=True):
        twin.fit(X, Y, epochs=6, optimizer=pynn.Adam(copy.deepcopy(schedule)))
        assert_same_bits(net, twin)


def test_the_defaults_are_those_of_fit():
    result = fit_many({"hidden": [5]}, X, Y, seed=0)
    alone = pynn.MLP([4, 5, 3], seed=result.seeds[0])
    history = alone.fit(X, Y)
    assert_same_bits(result[0], alone)
    assert figures(result.histories[0]) == figures(history)


@pytest.mark.parametrize("shape", [(90,), (90, 1)])
def test_predictions_have_the_shape_that_they_have_alone(shape):
    y = X[:, 0].reshape(shape)
    result = fit_many({"hidden": [5], "loss": ["mse"]}, X, y, epochs=1, cv=2, seed=0)
    alone = pynn.MLP([4, 5, 1], loss="mse", seed=0)
    alone.fit(X, y, epochs=1)
    assert result.best_model.predict(X).shape == alone.predict(X).shape
    assert result[0][0].predict(X).shape == alone.predict(X).shape


# ------------------------------------------------------------------- arguments and refit


def own_init(rng, shape, dtype):
    return rng.normal(scale=0.3, size=shape)


POINTS = [
    {"hidden": (5, 4), "activation": "tanh", "learning_rate": 0.02},
    {"hidden": 6, "dropout": 0.3, "optimizer": "sgd", "l2": 0.01, "batch_size": 7},
    {"hidden": [], "seed": 3, "optimizer": pynn.SGD(momentum=0.9), "learning_rate": 0.3},
    {
        "layer_sizes": [4, 6, 3],
        "seed": np.random.default_rng(9),
        "loss": pynn.SoftmaxCrossEntropy(label_smoothing=0.1),
        "init": own_init,
        "dtype": "float64",
        "validation_split": 0.3,
        "callbacks": [pynn.EarlyStopping(patience=1, min_delta=0.02)],
        "optimizer": pynn.Adam(pynn.ReduceOnPlateau(0.1, monitor="loss", patience=0)),
        "epochs": 9,
    },
    {"hidden": 4, "class_weight": {0: 3.0}, "sampling": "replacement"},
]
SHARED = {
    "none": {},
    "many": {
        "batch_size": 11,
        "sample_weight": np.random.default_rng(3).random(90),
        "metrics": ["accuracy"],
        "class_weight": "balanced",
        "callbacks": pynn.EarlyStopping("loss", patience=1, min_delta=0.05),
    },
    "validation": {"optimizer": pynn.RMSprop(0.01)},
}


def again(arguments, x=X, y=Y, **others):
    net = pynn.MLP(**arguments["model"])
    history = net.fit(x, y, **(arguments["fit"] | others))
    return net, history


@pytest.mark.parametrize("shared", SHARED.values(), ids=list(SHARED))
def test_arguments_make_the_same_networks_again(shared):
    # (Copies: a generator is drawn from, and a schedule has seen the metrics of the last test.)
    result = fit_many(copy.deepcopy(POINTS), X, Y, epochs=4, seed=5, **shared)
    for net, arguments, history, epoch in zip(
        result, result.arguments, result.histories, result.epochs, strict=True
    ):
        assert "hidden" not in arguments["model"]
        twin, its = again(arguments)
        assert_same_bits(net, twin)
        assert figures(its) == figures(history)
        assert net.rng.bit_generator.state == twin.rng.bit_generator.state
        assert type(epoch) is int


def test_arguments_hold_what_was_given_and_nothing_else():
    result = fit_many({"hidden": [8], "learning_rate": [0.1]}, X, Y, epochs=4, seed=5)
    (arguments,) = result.arguments
    assert arguments["model"].keys() == {"layer_sizes", "seed"}
    assert arguments["model"]["layer_sizes"] == (4, 8, 3)
    assert arguments["fit"].keys() == {"epochs", "optimizer"}
    assert arguments["fit"]["epochs"] == 4
    assert repr(arguments["fit"]["optimizer"]) == repr(pynn.Adam(0.1))


def test_arguments_of_networks_that_were_given():
    net = pynn.MLP([4, 5, 3], "tanh", pynn.SoftmaxCrossEntropy(0.1), l2=0.1, bias=False, seed=0)
    plain = pynn.MLP([4, 3], seed=0)
    result = fit_many([net, plain], X, Y, epochs=2, batch_size=9, optimizer="sgd")
    twin = pynn.MLP(**result.arguments[0]["model"])
    assert twin._config() == net._config()
    assert result.arguments[1]["model"]["loss"] == "softmax_cross_entropy"
    assert result.arguments[0]["fit"].keys() == {"epochs", "batch_size", "optimizer"}
    schedule = pynn.ReduceOnPlateau(0.1, monitor="loss")
    result = fit_many([net], X, Y, epochs=2, optimizer=[pynn.SGD(schedule)])
    assert net.optimizer.learning_rate is schedule
    recorded = result.arguments[0]["fit"]["optimizer"]
    assert recorded.learning_rate is not schedule  # which has seen metrics
    assert len(recorded._states) == 0


@pytest.mark.parametrize("refit", [True, "test_accuracy", "val_loss", False])
def test_the_best_model_is_trained_again_on_all_samples(refit):
    weights = np.random.default_rng(3).random(90)
    shared = {"epochs": 5, "batch_size": 8, "validation_split": 0.2, "sample_weight": weights}
    shared["callbacks"] = [pynn.EarlyStopping(patience=1)]
    grid = {"hidden": [(3,), (8, 8)], "learning_rate": [0.3, 0.001]}
    result = fit_many(grid, X, Y, cv=3, seed=1, refit=refit, **shared)
    for i, nets in enumerate(result):
        arguments = result.arguments[i]
        for net, (train, _), epoch in zip(nets, result.folds, result.epochs[i], strict=True):
            twin, history = again(arguments, X[train], Y[train], sample_weight=weights[train])
            assert_same_bits(net, twin)
            assert epoch == np.argmin(history["val_loss"]) + 1
        mean = np.mean(result.epochs[i])
        assert abs(result.table[i]["epoch"] - mean) <= 0.5
        assert type(result.table[i]["epoch"]) is int
    if refit is False:
        with pytest.raises(ValueError, match="refit=True"):
            result.best_model  # noqa: B018
        return
    by = "test_loss" if refit is True else refit
    values = [row[by] for row in result.table]
    best = np.argmax(values) if by == "test_accuracy" else np.argmin(values)
    assert result.best()["model"] == result.ranking()[0] == best
    assert f"by {by}" in repr(result)
    twin, history = again(result.arguments[best])
    assert_same_bits(result.best_model, twin)
    assert figures(result.best_model.history) == figures(history)


def test_networks_that_were_given_are_trained_again_as_copies():
    nets = networks(2)
    for net in nets:
        net.fit(X, Y, optimizer=pynn.Adam(0.01))
    twins = copy.deepcopy(nets)
    result = fit_many(nets, X, Y, epochs=3, cv=2, seed=0)
    best = result.best()["model"]
    for net, twin in zip(nets, twins, strict=True):
        assert_same_bits(net, twin)
    twins[best].fit(X, Y, epochs=3)  # from where it was, the moments included
    assert_same_bits(result.best_model, twins[best])


def test_the_best_model_without_folds_is_one_of_the_models():
    result = fit_many(networks(3), X, Y, epochs=2, validation_split=0.2, refit="val_accuracy")
    best = int(np.argmax([row["val_accuracy"] for row in result.table]))
    assert result.best_model is result[best]
    assert result.best()["model"] == best


class FailsOnAll(pynn.Callback):
    def __call__(self, net, history):
        if len(history) == 2 and threading.current_thread() is threading.main_thread():
            raise ZeroDivisionError("on purpose")


def test_an_error_in_the_last_fit_does_not_lose_the_others():
    with pytest.warns(RuntimeWarning, match=r"trained again: ZeroDivisionError: on purpose"):
        result = fit_many(networks(2), X, Y, epochs=3, cv=2, callbacks=[FailsOnAll()])
    assert not any(row["error"] for row in result.table)
    with pytest.raises(ValueError, match=r"could not be trained again: .*on purpose"):
        result.best_model  # noqa: B018
    with pytest.raises(ZeroDivisionError):
        fit_many(networks(2), X, Y, epochs=3, cv=2, callbacks=[FailsOnAll()], on_error="raise")


def test_no_best_model_where_all_failed():
    with pytest.warns(RuntimeWarning, match="1 of 1"):
        result = fit_many([{"hidden": 7}], X, Y, epochs=3, callbacks=fails, cv=2)
    with pytest.raises(ValueError, match="all 1 models failed"):
        result.best_model  # noqa: B018
    assert result.epochs == [[2, 2]]
    assert result.table[0]["epoch"] == 2


def test_names_of_scikit_learns_searches():
    result = fit_many({"hidden": [3]}, X, Y, epochs=1)
    for name, own in {"best_estimator_": "best_model", "cv_results_": "table"}.items():
        with pytest.raises(AttributeError, match=rf"'{name}'.*{own}"):
            getattr(result, name)
    with pytest.raises(AttributeError, match="'nothing'"):
        result.nothing  # noqa: B018


# -------------------------------------------------------------------------- what it says


def test_the_title_says_by_what():
    """In particular that it is the loss on the samples that were trained on."""
    assert "(training loss: no validation data, no cv)" in repr(fit_many(networks(2), X, Y))
    held_out = repr(fit_many(networks(2), X, Y, validation_split=0.2))
    assert "by val_loss\n" in held_out
    folds = repr(fit_many(networks(2), X, Y, cv=2, metrics="accuracy", refit="accuracy"))
    assert "by accuracy (on the training samples)\n" in folds


def test_models_of_different_losses_are_not_compared_by_them():
    losses = [pynn.Huber(1.0), pynn.Huber(2.0), "mse"]
    grid = {"hidden": [3], "loss": losses}
    result = fit_many(grid, X, X[:, 0], metrics="mae", cv=2, refit="test_mae", seed=0)
    assert result.best()["test_mae"] == min(row["test_mae"] for row in result.table)
    assert "by test_mae" in repr(result)
    result = fit_many(grid, X, X[:, 0], metrics="mae", cv=2, refit=False, seed=0)
    for call in (result.best, result.ranking):
        with pytest.raises(ValueError, match=r"different losses.*'test_mae'"):
            call()
    assert result.ranking("test_mae")
    assert "their losses differ" in repr(result)
    assert [line.split()[0] for line in repr(result).splitlines()[4:7]] == ["0", "1", "2"]


def test_metrics_that_are_nan_come_last():
    def score(y_true, y_pred):
        return float("nan") if y_pred.std() > 0.2 else float(y_pred.mean())

    nets = networks(3)
    result = fit_many(nets, X, Y, epochs=1, metrics={"my_score": score})
    values = [row["my_score"] for row in result.table]
    assert [bool(np.isnan(values[i])) for i in result.ranking("my_score")] == sorted(
        map(bool, np.isnan(values))
    )
    result = fit_many(nets, X, Y, epochs=1, metrics={"my_score": lambda *_: float("nan")})
    with pytest.raises(ValueError, match="my_score is NaN for all"):
        result.best("my_score")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_fits_the_terminal(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    grid = {
        "hidden": [(8,), (16, 16)],
        "activation": ["relu"],
        "optimizer": [pynn.Adam(0.01), pynn.SGD(1e30, momentum=0.9)],
    }
    with pytest.warns(RuntimeWarning, match="2 of 4"):
        result = fit_many(grid, 100 * X, Y, epochs=2, cv=2, metrics=["accuracy", "top_2"], seed=0)
    lines = repr(result).splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "test_loss" in next(line for line in lines if "model " in line)
    assert "2 failed" in text
    assert "all: activation=relu" in text
    assert "model 1: fold 0: FloatingPoint" in text
    if width >= 80:
        assert "SGD(learning_rate=1e+30, momentum=0.9)" in text
    if width == 200:
        assert "in .table" not in text
        assert "test_top_2_std" in text
    else:
        assert "in .table, too: " in text


def test_progress(capsys):
    fit_many(networks(3), X, Y, epochs=2)
    assert capsys.readouterr().err == ""
    fit_many(networks(3), X, Y, epochs=2, progress=True)
    said = capsys.readouterr().err
    assert "best loss" in said
    assert "fits" in said
    assert "epoch" not in said


def test_progress_without_tqdm(capsys, monkeypatch):
    """A line for each fit that takes long; with folds, the best mean of a model."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("pynn.progress.LINE", 0.0)
    grid = {"hidden": [3, 4, 5, 6, 7, 8, 9], "epochs": [2]}
    with pynn.threads(1):
        result = fit_many(grid, X, Y, cv=3, seed=0, refit="test_loss", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1].rstrip(",") for line in lines] == [f"{i}/22" for i in range(1, 23)]
    best = min(row["test_loss"] for row in result.table)
    assert f"best test_loss={best:#.4g}," in lines[-1]


# ---------------------------------------------------------------------- bad arguments

NETS = networks(2)
GENERATOR = np.random.default_rng(0)
GRID = {"hidden": [3]}


class Uniform:
    """What SciPy's distributions look like."""

    def rvs(self):
        return 0.5


class Locked(pynn.Callback):
    def __init__(self):
        self.lock = threading.Lock()


def call(**arguments):
    return lambda: fit_many(**({"models": NETS, "X": X, "y": Y} | arguments))


@pytest.mark.parametrize(
    ("bad", "exception", "says"),
    [
        (call(models=3), TypeError, ["models", "3"]),
        (call(models=NETS[0]), TypeError, ["models", "MLP"]),
        (call(models="mlp"), TypeError, ["models", "'mlp'"]),
        (call(models=[]), ValueError, ["models", "empty"]),
        (call(models=[*NETS, 3]), TypeError, ["models[2]", "3"]),
        (call(models=[GRID, NETS[0]]), TypeError, ["models[1]"]),
        (call(models=[3]), TypeError, ["models[0]", "3"]),
        (call(models=[*NETS, NETS[0]]), ValueError, ["models[2]", "models[0]", "same network"]),
        (
            call(models=[pynn.MLP([4, 3], seed=GENERATOR), pynn.MLP([4, 3], seed=GENERATOR)]),
            ValueError,
            ["models[1]", "models[0]", "generator"],
        ),
        (
            call(models={"hidden": [3, 4], "seed": [GENERATOR]}),
            ValueError,
            ["model 1", "model 0", "generator"],
        ),
        (call(models={}), ValueError, ["models", "hidden", "layer_sizes"]),
        (call(models={"hidden": []}), ValueError, ["models['hidden']", "empty"]),
        (call(models={"hidden": (8, 4)}), TypeError, ["[(8, 4)]", "[8, 4]"]),
        (call(models={**GRID, "class_weight": {0: 1.0}}), TypeError, ["[{0: 1.0}]"]),
        (call(models={**GRID, "l2": np.array(0.1)}), TypeError, ["models['l2']", "array(0.1)"]),
        (call(models={**GRID, "l2": {0.1, 0.2}}), TypeError, ["models['l2']", "list(...)"]),
        (call(models={**GRID, "l2": Uniform()}), TypeError, ["models['l2']", "random search"]),
        (call(models={**GRID, "learning_rates": [1]}), ValueError, ["mean 'learning_rate'"]),
        (call(models={**GRID, "mlp__lr": [1]}), ValueError, ["'mlp__lr'", "'learning_rate'"]),
        (
            call(models={"hidden_layer_sizes": [3]}),
            ValueError,
            ["'hidden_layer_sizes'", "'hidden'"],
        ),
        (call(models={**GRID, "alpha": [1]}), ValueError, ["'alpha'", "'l2'"]),
        (call(models={**GRID, "max_iter": [1]}), ValueError, ["'max_iter'", "'epochs'"]),
        (call(models=[{"hidden": 3, "random_state": 1}]), ValueError, ["models[0]", "'seed'"]),
        (
            call(models={**GRID, "momentum": [0.9]}),
            ValueError,
            ["'momentum'", "SGD(0.003, momentum"],
        ),
        (call(models={**GRID, "metrics": ["mse"]}), ValueError, ["'metrics'", "to fit_many"]),
        (call(models={**GRID, 3: [1]}), ValueError, ["key 3", "layer_sizes"]),
        (call(models={"hidden": 3}), TypeError, ["models['hidden']", "list", "3"]),
        (call(models={**GRID, "loss": "mse"}), TypeError, ["models['loss']", "'mse'"]),
        (call(models={**GRID, "size": [1]}), ValueError, ["models", "'size'", "layer_sizes"]),
        (call(models=[{"l2": 0.1}]), ValueError, ["models[0]", "hidden"]),
        (call(models={**GRID, "layer_sizes": [(4, 3)]}), ValueError, ["hidden", "layer_sizes"]),
        (call(models={**GRID, "l2": [0, -1]}), ValueError, ["model 1", "l2=-1", "l2"]),
        (call(models=[{"hidden": 3, "epochs": [1]}]), TypeError, ["models[0]['epochs']", "itself"]),
        (call(models={"hidden": ["3"]}), TypeError, ["model 0", "'3'"]),
        (call(models={"layer_sizes": [5, 3]}), TypeError, ["model 0", "layer_sizes", "5"]),
        (call(models={"layer_sizes": [(5, 3)]}), ValueError, ["model 0", "X", "(90, 4)", "5"]),
        (call(models={**GRID, "epochs": [1, 0]}), ValueError, ["model 1", "epochs", "0"]),
        (call(models={**GRID, "learning_rate": [-1]}), ValueError, ["model 0", "learning_rate"]),
        (call(models={**GRID, "optimizer": ["sdg"]}), ValueError, ["model 0", "'sdg'", "sgd"]),
        (call(models={**GRID, "optimizer": [3]}), TypeError, ["model 0", "optimizer", "3"]),
        (call(models=GRID, y=X[:, 0]), ValueError, ["y", "float64", "'loss': 'mse'"]),
        (call(models=GRID, y=Y.astype(float)), ValueError, ["y.astype(int)", "'loss': 'mse'"]),
        (
            call(models=GRID, y=Y[:, None]),
            ValueError,
            ["(90, 1)", "ravel", "sigmoid_cross_entropy"],
        ),
        (call(models=GRID, y=X[:, :1]), ValueError, ["(90, 1)", "'loss': 'mse'", "sigmoid"]),
        (
            call(models=GRID, y=1900 + Y),
            ValueError,
            ["up to 1902", "90 samples", "'mse'", "unique"],
        ),
        (call(models=GRID, X=X[0]), ValueError, ["X", "(4,)"]),
        (call(models=GRID, y=None), TypeError, ["y", "object"]),
        (call(X=X[:, :3]), ValueError, ["models[0]", "X", "(90, 3)"]),
        (call(X=iter([(X, Y)])), TypeError, ["X", "object"]),
        (call(y=Y[:5]), ValueError, ["y", "5", "90"]),
        (call(y=3), ValueError, ["y", "()"]),
        (call(random_state=0), TypeError, ["fit_many()", "'random_state'", "'seed'"]),
        (call(hidden=[3]), TypeError, ["fit_many()", "'hidden'", "key of the grid"]),
        (call(lr=0.1), TypeError, ["fit_many()", "'lr'", "'learning_rate'"]),
        (call(epochs=0), ValueError, ["epochs", "0"]),
        (call(batch_size=0.5), TypeError, ["batch_size", "0.5"]),
        (call(optimizer="sdg"), ValueError, ["optimizer", "'sdg'", "sgd"]),
        (call(optimizer=pynn.SGD), TypeError, ["optimizer", "pynn.SGD()"]),
        (call(learning_rate=-1), ValueError, ["learning_rate", "-1"]),
        (call(learning_rate="fast"), TypeError, ["learning_rate", "'fast'"]),
        (call(optimizer=["sgd"]), ValueError, ["optimizer", "1", "2 models", "key"]),
        (call(optimizer=[pynn.SGD(), 3]), TypeError, ["optimizer[1]", "3"]),
        (call(validation_data=(X[:, :2], Y)), ValueError, ["validation_data[0]", "(90, 2)"]),
        (call(validation_split=1.0), ValueError, ["validation_split", "1"]),
        (call(sample_weight=-np.ones(90)), ValueError, ["sample_weight"]),
        (call(sample_weight=np.ones(3)), ValueError, ["sample_weight", "(3,)"]),
        (call(class_weight="even"), ValueError, ["class_weight", "'even'"]),
        (call(metrics="auc"), ValueError, ["metrics", "'auc'"]),
        (call(shuffle="no"), TypeError, ["shuffle", "'no'"]),
        (call(sampling="bootstrap"), ValueError, ["sampling", "'bootstrap'"]),
        (call(callbacks=3), TypeError, ["callbacks", "3"]),
        (
            call(callbacks=Locked()),
            TypeError,
            ["callbacks", "copied"],
        ),
        (call(callbacks=pynn.Checkpoint("net.npz")), ValueError, ["callbacks", "net.npz"]),
        (  # of the fold, and of the best model
            call(models=NETS[:1], cv=[([0], [1])], callbacks=pynn.Checkpoint("net.npz")),
            ValueError,
            ["callbacks", "net.npz"],
        ),
        (call(cv=1), ValueError, ["cv", "1"]),
        (call(cv=91), ValueError, ["cv=91", "90"]),
        (call(cv=2.5), TypeError, ["cv", "2.5"]),
        (call(cv="kfold"), TypeError, ["cv", "'kfold'"]),
        (call(cv=[]), ValueError, ["cv", "no folds"]),
        (call(cv=[3]), TypeError, ["cv[0]", "3"]),
        (call(cv=[([0], [90])]), ValueError, ["cv[0][1]", "90", "89"]),
        (call(cv=[([0], [-1])]), ValueError, ["cv[0][1]", "-1"]),
        (call(cv=[([], [1])]), TypeError, ["cv[0][0]"]),
        (call(cv=[(np.array([], int), [1])]), ValueError, ["cv[0][0]", "empty"]),
        (call(cv=[([0.5], [1])]), TypeError, ["cv[0][0]", "float64"]),
        (call(cv=[([True], [1])]), ValueError, ["cv[0][0]", "mask", "90"]),
        (
            call(cv=[([0], [1])], sample_weight=np.arange(90.0)),
            ValueError,
            ["sample_weight", "train", "fold 0"],
        ),
        (call(cv=[([0], [1])], class_weight={int(Y[0]): 0}), ValueError, ["class_weight", "0"]),
        (call(refit=3), TypeError, ["refit", "3", "metric"]),
        (call(cv=2, refit="test_auc"), ValueError, ["refit", "'test_auc'", "'test_accuracy'"]),
        (call(refit="test_loss"), ValueError, ["refit", "'test_loss'", "'loss'"]),
        (
            call(cv=2, refit="test_gain", metrics={"gain": lambda t, p: 0.0}),
            ValueError,
            ["refit", "'test_gain'", "small or large", "score"],
        ),
        (
            call(models={**GRID, "loss": ["mse", "mae"]}, y=X[:, 0], cv=2),
            ValueError,
            ["refit", "losses differ", "test_mae"],
        ),
        (call(seed=-1), ValueError, ["seed", "-1"]),
        (call(seed="x"), TypeError, ["seed", "'x'"]),
        (call(on_error="warn"), ValueError, ["on_error", "'warn'", "record"]),
        (call(progress="yes"), TypeError, ["progress", "'yes'"]),
    ],
)
def test_bad_arguments(bad, exception, says):
    before = [parameters_of(net) for net in NETS]
    states = [net.rng.bit_generator.state for net in NETS]
    with pytest.raises(exception) as caught:
        bad()
    assert caught.type is exception
    for word in says:
        assert word in str(caught.value)
    for net, parameters, state in zip(NETS, before, states, strict=True):
        assert_same_bits(net, parameters)
        assert net.rng.bit_generator.state == state
        assert net.history is None
