"""The methods of a callback: which are called, in which order, and which results end the fit."""

import gc
import weakref

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn

X, Y = make_samples("mse", 30, 4, 1)
EVENTS = ["on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end", "on_train_end"]


def make(**options):
    return pynn.MLP([4, 5, 1], loss="mse", seed=0, **options)


def fit(callbacks, **options):
    net = make()
    net.fit(X, Y, **{"epochs": 3, "batch_size": 10, **options}, callbacks=callbacks)
    return net


class Recorder(pynn.Callback):
    """Notes every call, and answers `answer` at the event `when` for the `count`-th time."""

    def __init__(self, when=None, answer=True, count=1, log=None):
        self.log, self.when, self.answer, self.count = [], when, answer, count
        self.log = [] if log is None else log

    def _note(self, event, *details):
        self.log.append((event, *details))
        if event == self.when and sum(entry[0] == event for entry in self.log) == self.count:
            return self.answer
        return None

    def on_train_begin(self, net, history):
        return self._note("on_train_begin", len(history))

    def on_epoch_begin(self, net, history):
        return self._note("on_epoch_begin", len(history))

    def on_batch_end(self, net, batch, loss):
        assert type(loss) is float
        return self._note("on_batch_end", batch)

    def on_epoch_end(self, net, history):
        return self._note("on_epoch_end", len(history))

    def on_train_end(self, net, history):
        return self._note("on_train_end", len(history))


def epoch(number):
    """What a whole epoch calls, from 1."""
    return [
        ("on_epoch_begin", number - 1),
        *(("on_batch_end", i) for i in range(3)),
        ("on_epoch_end", number),
    ]


def test_all_events_in_their_order():
    recorder = Recorder()
    net = fit(recorder)
    assert recorder.log == [
        ("on_train_begin", 0), *epoch(1), *epoch(2), *epoch(3), ("on_train_end", 3)
    ]  # fmt: skip
    twin = fit(())
    assert_same_bits(net, twin)


def test_an_object_without_a_base_class():
    class Duck:
        on_train_begin = Recorder.on_train_begin
        on_epoch_begin = Recorder.on_epoch_begin
        on_epoch_end = Recorder.on_epoch_end
        on_train_end = Recorder.on_train_end
        _note, when = Recorder._note, None

        def __init__(self):
            self.log = []

    duck, recorder = Duck(), Recorder()
    fit([duck, recorder])
    assert duck.log == [entry for entry in recorder.log if entry[0] != "on_batch_end"]


@pytest.mark.parametrize("event", EVENTS)
def test_one_method_alone(event):
    """Of a subclass, and of an object."""
    calls = []
    own = type("Own", (pynn.Callback,), {event: lambda self, *args: calls.append(args)})()
    duck = type("Duck", (), {event: lambda self, *args: calls.append(args)})()
    for callback in (own, duck):
        calls.clear()
        net = fit([callback])
        expected = {"on_batch_end": 9, "on_train_begin": 1, "on_train_end": 1}.get(event, 3)
        assert len(calls) == expected
        if event == "on_batch_end":
            assert [args[1] for args in calls] == [0, 1, 2] * 3
        else:
            assert all(args[1] is net.history for args in calls)
        assert all(args[0] is net for args in calls)


def test_a_callable_with_methods_is_called_as_both():
    calls = []

    class Both(pynn.Callback):
        def on_epoch_end(self, net, history):
            calls.append("method")

        def __call__(self, net, history):
            calls.append("call")

    fit(Both(), epochs=2)
    assert calls == ["method", "call"] * 2


# -------------------------------------------------------------------- answers

ENDS = {
    "True": True,
    "np.True_": np.True_,
    "a mean below a limit": np.mean([0.05, 0.1]) < 0.1,
    "float32 below a limit": np.float32(0.05) < 0.1,
    "a 0-d array": np.array(True),
    "all() of an array": np.array([1, 2]).all(),
}
GOES_ON = {
    "None": None,
    "False": False,
    "np.False_": np.False_,
    "a 0-d False": np.array(False),
    "a number": 1,
    "a loss": 0.25,
    "a NumPy number": np.float64(1.0),
    "a text": "stop",
    "a list": [True],
    "an array": np.array([True]),
    "an object": object(),
}
# What is left of a fit of 3 epochs of 3 mini-batches that ends there: recorded epochs, steps.
LEFT = {
    "on_train_begin": (1, (0, 0)),
    "on_epoch_begin": (2, (1, 3)),
    "on_batch_end": (5, (1, 5)),
    "on_epoch_end": (2, (2, 6)),
}


@pytest.mark.parametrize("answer", ENDS)
@pytest.mark.parametrize("event", LEFT)
def test_what_ends_the_fit(event, answer):
    count, (epochs, steps) = LEFT[event]
    recorder = Recorder(event, ENDS[answer], count)
    net = fit(recorder)
    assert len(net.history) == epochs
    assert recorder.log[-1] == ("on_train_end", epochs)
    assert recorder.log[-2][0] == event
    assert sum(entry[0] == "on_batch_end" for entry in recorder.log) == steps
    assert int(net._engine.rng_position[1]) == steps


@pytest.mark.parametrize("answer", GOES_ON)
@pytest.mark.parametrize("event", LEFT)
def test_what_does_not(event, answer):
    recorder = Recorder(event, GOES_ON[answer])
    net = fit(recorder)
    assert len(net.history) == 3
    assert_same_bits(net, fit(()))


@pytest.mark.parametrize("answer", ENDS)
def test_a_plain_callable(answer):
    net = fit(lambda net, history: ENDS[answer])
    assert len(net.history) == 1
    assert len(fit(lambda net, history: len(history) > 1).history) == 2


@pytest.mark.parametrize("event", LEFT)
def test_the_others_are_called_all_the_same(event):
    log = []
    first, second = Recorder(event), Recorder(log=log)
    fit([first, second])
    assert [entry[0] for entry in log] == [entry[0] for entry in first.log]
    fit([Recorder(), Recorder(event)])


def test_where_mini_batches_are_given():
    recorder = Recorder("on_batch_end", np.True_, 5)
    net = make()
    net.fit(
        [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 30, 10)], epochs=3, callbacks=recorder
    )
    assert int(net._engine.rng_position[1]) == 5


def test_an_exception_passes_and_on_train_end_is_not_called():
    class Fails(Recorder):
        def on_epoch_end(self, net, history):
            raise KeyError("mine")

    recorder, net = Fails(), make()
    with pytest.raises(KeyError, match="mine"):
        net.fit(X, Y, epochs=3, batch_size=10, callbacks=recorder)
    assert recorder.log[-1] == ("on_batch_end", 2)
    assert len(net.history) == 1


# -------------------------------------------------------------------- refused


def own(base=pynn.Callback, **methods):
    return type("Own", (base,), methods)()


class KerasLike(pynn.Callback):
    def on_epoch_end(self, epoch, logs=None):
        pass


class KerasBatch:
    def on_batch_end(self, batch, logs=None):
        pass


def nothing(self, *args):
    pass


REFUSED = [
    (own(on_fit_begin=nothing), ["'on_fit_begin'", "on_train_begin(net, history)"]),
    (own(on_fit_end=nothing), ["'on_fit_end'", "on_train_end(net, history)"]),
    (own(object, on_train_batch_end=nothing), ["on_batch_end(net, batch, loss)"]),
    (own(on_train_epoch_start=nothing), ["on_epoch_begin(net, history)"]),
    (own(object, on_epoch_edn=nothing), ["'on_epoch_edn'", "did you mean 'on_epoch_end'?"]),
    (own(on_something=nothing), ["'on_something'", *EVENTS]),
    (KerasLike(), ["'on_epoch_end'", "Keras' arguments", "on_epoch_end(net, history)"]),
    (KerasBatch(), ["'on_batch_end'", "on_batch_end(net, batch, loss)"]),
    (pynn.EarlyStopping, ["the class EarlyStopping", "pass EarlyStopping(...)"]),
    (pynn.Callback, ["the class Callback"]),
    (dict, ["the class dict"]),
    (object(), ["must be callable or have a method"]),
    ("stop", ["callbacks[0]"]),
    (3, ["callbacks", "3"]),
    (None, ["callbacks", "None"]),
]


@pytest.mark.parametrize(("callback", "says"), REFUSED)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_callback(callback, says, alone):
    net, twin = make(), make()
    with pytest.raises(TypeError) as caught:
        net.fit(X, Y, callbacks=callback if alone else [print, callback])
    for word in says if alone else ["callbacks[1]"]:
        assert word in str(caught.value)
    assert_same_bits(net, twin)
    assert net.history is None


def test_keras_early_stopping_is_not_silently_nothing():
    """An object with set_model and on_epoch_end(epoch, logs), as Keras' are."""

    class EarlyStopping:
        def set_model(self, model):
            pass

        def on_epoch_end(self, epoch, logs=None):
            pass

    with pytest.raises(TypeError, match=r"Keras' arguments, expected on_epoch_end\(net, history\)"):
        fit(EarlyStopping())


# ---------------------------------------------- which part validation_split holds out


def held_out_loss(net, rows, y=Y):
    return net.evaluate(X[rows], y[rows])["loss"]


@pytest.mark.parametrize(
    ("fraction", "count"), [(0.2, 6), (0.25, 8), (0.01, 1), (0.9, 27), (1 / 3, 10)]
)
def test_without_shuffling_the_last_samples_are_held_out(fraction, count):
    """As scikit-learn's train_test_split(shuffle=False), and Keras' validation_split."""
    split = pytest.importorskip("sklearn.model_selection").train_test_split
    train, test = split(np.arange(30), test_size=fraction, shuffle=False)
    assert len(test) == count
    net, twin = make(), make()
    options = {"epochs": 3, "batch_size": 4, "shuffle": False}
    history = net.fit(X, Y, **options, validation_split=fraction)
    other = twin.fit(X[train], Y[train], **options, validation_data=(X[test], Y[test]))
    assert_same_bits(net, twin)
    assert history["val_loss"] == other["val_loss"]
    assert history["val_loss"][-1] == held_out_loss(net, test)
    assert net.rng.bit_generator.state == twin.rng.bit_generator.state  # nothing is drawn


def test_labels_are_not_stratified_without_shuffling():
    labels = np.repeat([0, 1, 2], 10)
    net, twin = (pynn.MLP([4, 5, 3], seed=0) for _ in range(2))
    options = {"epochs": 2, "shuffle": False, "class_weight": {0: 2.0}}
    net.fit(X, labels, **options, validation_split=0.5)
    twin.fit(X[:15], labels[:15], **options)
    assert_same_bits(net, twin)


def test_fit_many_holds_out_the_last_of_its_folds():
    nets = [make(), make()]
    folds = [(np.arange(0, 20), np.arange(20, 30)), (np.arange(10, 30)[::-1], np.arange(10))]
    options = {"epochs": 2, "batch_size": 4, "shuffle": False}
    result = pynn.fit_many(nets[:1], X, Y, cv=folds, validation_split=0.25, **options)
    for trained, (rows, _) in zip(result[0], folds, strict=True):
        alone = make()
        alone.fit(X[rows[:15]], Y[rows[:15]], **options)
        assert_same_bits(trained, alone)
    pynn.fit_many(nets[1:], X, Y, validation_split=0.2, **options)
    alone = make()
    alone.fit(X[:24], Y[:24], **options)
    assert_same_bits(nets[1], alone)


def test_with_shuffling_they_are_drawn():
    net = make()
    net.fit(X, Y, epochs=1, validation_split=0.2)
    assert net.history["val_loss"][-1] != held_out_loss(net, np.arange(24, 30))


# ---------------------------------------------------------------- nothing is kept

CALLS = {
    "call": lambda net, x, y: net(x),
    "call in training": lambda net, x, y: net(x, training=True),
    "predict": lambda net, x, y: net.predict(x),
    "hidden": lambda net, x, y: net.hidden(x),
    "evaluate": lambda net, x, y: net.evaluate(x, y, metrics="mae"),
    "score": lambda net, x, y: net.score(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "input_gradient": lambda net, x, y: net.input_gradient(x, y),
    "backward": lambda net, x, y: net.backward(y, x, parameters=True),
    "train_on_batch": lambda net, x, y: net.train_on_batch(x, y),
    "fit": lambda net, x, y: net.fit(x, y, epochs=2),
    "fit, validated": lambda net, x, y: net.fit(
        x, y, epochs=2, validation_data=(x, y), metrics="mae", callbacks=pynn.EarlyStopping()
    ),
    "fit, split": lambda net, x, y: net.fit(x, y, epochs=2, validation_split=0.2),
    "fit, batches": lambda net, x, y: net.fit([(x, y)], epochs=2),
    "fit_many": lambda net, x, y: pynn.fit_many([net], x, y, epochs=1),
    "summary": lambda net, x, y: net.summary(),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_no_call_keeps_its_arrays(name, dtype):
    net = make(dropout=[0.1, 0.2])
    x, y = X.astype(dtype), Y.astype(dtype)
    kept = [weakref.ref(a) for a in (x, y)]
    result = CALLS[name](net, x, y)
    del x, y
    if any(ref() is not None for ref in kept):
        gc.collect()  # (It looks at all that the tests have imported.)
    assert [ref() for ref in kept] == [None, None]
    del result


@pytest.mark.parametrize("name", ["call", "predict", "fit", "train_on_batch"])
def test_what_happens_to_the_samples_afterwards_changes_nothing(name):
    net, twin = make(), make()
    x, y = X.astype("float32"), Y.astype("float32")
    CALLS[name](net, x, y)
    CALLS[name](twin, x.copy(), y)
    x[...] = 9
    dout = np.ones((30, 1))
    np.testing.assert_array_equal(net.backward(dout, X), twin.backward(dout, X))
