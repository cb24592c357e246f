"""Many networks in one call: each as if it had been trained alone."""

import copy
import json
import os
import threading

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
        again = fit_many(nets, X, Y, epochs=2, **arguments)  # goes on, with its own optimiser
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
        net.fit(X, Y)  # nobody trains it


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
        if net._parameters.tobytes() == again._parameters.tobytes():
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
        fit_many(networks(3), X, Y, callbacks=lambda *_: seen.append(pynn.get_num_threads()))
        assert pynn.get_num_threads() == before
    assert seen == [1, 1, 1]


def test_fits_run_at_the_same_time():
    """A callback of each of two networks waits for the other's."""
    if not HAS_THREADS:
        pytest.skip("serial build: one thread")
    meeting = threading.Barrier(2)

    def wait(net, history):
        meeting.wait(timeout=60)

    with pynn.threads(2):
        fit_many(networks(2), X, Y, callbacks=wait, on_error="raise")


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
    with pytest.raises(ValueError, match=r"by='auc'.*'val_loss'"):
        result.best("auc")
    with pytest.raises(ValueError, match="mode"):
        result.best("seconds")
    with pytest.raises(TypeError, match="by must"):
        result.best(3)


def test_to_pandas():
    pytest.importorskip("pandas")
    result = fit_many({"hidden": [3, 4]}, X, Y)
    table = result.to_pandas()
    assert table["hidden"].tolist() == [3, 4]
    assert table.loc[1, "loss"] == result.table[1]["loss"]


def test_progress(capsys):
    fit_many(networks(3), X, Y, epochs=2)
    assert capsys.readouterr().err == ""
    fit_many(networks(3), X, Y, epochs=2, progress=True)
    said = capsys.readouterr().err
    assert "best loss" in said
    assert "fits" in said
    assert "epoch" not in said


# ---------------------------------------------------------------------- bad arguments

NETS = networks(2)
GENERATOR = np.random.default_rng(0)
GRID = {"hidden": [3]}


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
        (call(models={"hidden": 3}), TypeError, ["models['hidden']", "list", "3"]),
        (call(models={**GRID, "loss": "mse"}), TypeError, ["models['loss']", "'mse'"]),
        (call(models={**GRID, "size": [1]}), ValueError, ["models", "'size'", "layer_sizes"]),
        (call(models=[{"l2": 0.1}]), ValueError, ["models[0]", "hidden"]),
        (call(models={**GRID, "layer_sizes": [(4, 3)]}), ValueError, ["hidden", "layer_sizes"]),
        (call(models={**GRID, "l2": [0, -1]}), ValueError, ["model 1", "l2=-1", "l2"]),
        (call(models={"hidden": ["3"]}), TypeError, ["model 0", "'3'"]),
        (call(models={"layer_sizes": [5, 3]}), TypeError, ["model 0", "layer_sizes", "5"]),
        (call(models={"layer_sizes": [(5, 3)]}), ValueError, ["model 0", "X", "(90, 4)", "5"]),
        (call(models={**GRID, "epochs": [1, 0]}), ValueError, ["model 1", "epochs", "0"]),
        (call(models={**GRID, "learning_rate": [-1]}), ValueError, ["model 0", "learning_rate"]),
        (call(models={**GRID, "optimizer": ["nadam"]}), ValueError, ["model 0", "optimizer"]),
        (call(models=GRID, X=X[0]), ValueError, ["X", "(4,)"]),
        (call(models=GRID, y=None), TypeError, ["y", "object"]),
        (call(X=X[:, :3]), ValueError, ["models[0]", "X", "(90, 3)"]),
        (call(X=iter([(X, Y)])), TypeError, ["X", "object"]),
        (call(y=Y[:5]), ValueError, ["y", "5", "90"]),
        (call(y=3), ValueError, ["y", "()"]),
        (call(epochs=0), ValueError, ["epochs", "0"]),
        (call(batch_size=0.5), TypeError, ["batch_size", "0.5"]),
        (call(optimizer="nadam"), ValueError, ["optimizer", "'nadam'"]),
        (call(optimizer=[pynn.SGD()]), ValueError, ["optimizer", "1", "2"]),
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
