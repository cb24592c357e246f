"""Keywords and attributes of other libraries are errors that name pynn's word for them."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
from numpy_mlp import assert_same_bits, make_samples

import pynn
from pynn._keywords import ELSEWHERE, PLACES, UNNEEDED

X, Y = make_samples("softmax_cross_entropy", 12, 4, 3, labels=True)


def net():
    return pynn.MLP([4, 5, 3], seed=0)


def file_of_net():
    file = io.BytesIO()
    net().save(file)
    file.seek(0)
    return file


CALLS = {
    "MLP()": (pynn.MLP.__init__, lambda **k: pynn.MLP([4, 5, 3], **k)),
    "MLP.fit()": (pynn.MLP.fit, lambda **k: net().fit(X, Y, **k)),
    "MLP.train_on_batch()": (
        pynn.MLP.train_on_batch,
        lambda **k: net().train_on_batch(X, Y, **k),
    ),
    "EarlyStopping()": (pynn.EarlyStopping.__init__, pynn.EarlyStopping),
    "Checkpoint()": (pynn.Checkpoint.__init__, lambda **k: pynn.Checkpoint("net.npz", **k)),
    "SGD()": (pynn.SGD.__init__, pynn.SGD),
    "Adam()": (pynn.Adam.__init__, pynn.Adam),
    "AdamW()": (pynn.AdamW.__init__, pynn.AdamW),
    "RMSprop()": (pynn.RMSprop.__init__, pynn.RMSprop),
    "SoftmaxCrossEntropy()": (pynn.SoftmaxCrossEntropy.__init__, pynn.SoftmaxCrossEntropy),
    "CosineDecay()": (pynn.CosineDecay.__init__, lambda **k: pynn.CosineDecay(0.1, 9, **k)),
    "MLP.predict()": (pynn.MLP.predict, lambda **k: net().predict(X, **k)),
    "MLP.predict_proba()": (pynn.MLP.predict_proba, lambda **k: net().predict_proba(X, **k)),
    "MLP.score()": (pynn.MLP.score, lambda **k: net().score(X, Y, **k)),
    "MLP.evaluate()": (pynn.MLP.evaluate, lambda **k: net().evaluate(X, Y, **k)),
    "MLP.hidden()": (pynn.MLP.hidden, lambda **k: net().hidden(X, **k)),
    "MLP.gradients()": (pynn.MLP.gradients, lambda **k: net().gradients(X, Y, **k)),
    "MLP.input_gradient()": (
        pynn.MLP.input_gradient,
        lambda **k: net().input_gradient(X, Y, **k),
    ),
    "MLP.backward()": (pynn.MLP.backward, lambda **k: net().backward(net()(X), X, **k)),
    "MLP.set_weights()": (
        pynn.MLP.set_weights,
        lambda **k: net().set_weights(net().get_weights(), **k),
    ),
    "MLP.save()": (pynn.MLP.save, lambda **k: net().save(io.BytesIO(), **k)),
    "load()": (pynn.load, lambda **k: pynn.load(file_of_net(), **k)),
    "fit_many()": (pynn.fit_many, lambda **k: pynn.fit_many([net()], X, Y, **k)),
    "huber()": (pynn.huber, lambda **k: pynn.huber(X, X, **k)),
    "pinball()": (pynn.pinball, lambda **k: pynn.pinball(X, X, **k)),
    "to_torch()": (pynn.convert.to_torch, lambda **k: pynn.convert.to_torch(net(), **k)),
    "MLP.to_torch()": (pynn.MLP.to_torch, lambda **k: net().to_torch(**k)),
}
EVERY = sorted({*PLACES, *ELSEWHERE}.union(*UNNEEDED.values()))


def arguments(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("called", CALLS)
def test_every_foreign_keyword_is_an_error(called):
    function, call = CALLS[called]
    names = arguments(function)
    for keyword in (k for k in EVERY if k not in names):
        with pytest.raises(TypeError) as caught:
            call(**{keyword: 1})
        message = str(caught.value)
        assert message.startswith(f"{called} got an unexpected keyword argument {keyword!r}")
        # What is named is an argument of this function, or a sentence says where to go.
        if "; pynn calls it '" in message:
            assert message.split("; pynn calls it ")[1].strip("'") in names
        elif keyword in UNNEEDED.get(function.__name__, {}):
            assert message.endswith(UNNEEDED[function.__name__][keyword])
        elif keyword in ELSEWHERE or any(
            " " in each or each in ELSEWHERE for each in PLACES.get(keyword, ())
        ):
            assert ": " in message


# What users of other libraries type, and what they are to read.
KEYWORDS = [
    ("MLP()", "hidden_layer_sizes", "layer_sizes to pynn.MLP, inputs and outputs included"),
    ("MLP()", "hidden", "layer_sizes to pynn.MLP"),
    ("MLP()", "input_dim", "layer_sizes to pynn.MLP"),
    ("MLP()", "restore_best_weights", "pynn.EarlyStopping"),
    ("MLP()", "random_state", "'seed'"),
    ("MLP()", "rng", "'seed'"),
    ("MLP()", "alpha", "'l2'"),
    ("MLP()", "kernel_regularizer", "'l2'"),
    ("MLP()", "kernel_initializer", "'init'"),
    ("MLP()", "use_bias", "'bias'"),
    ("MLP()", "criterion", "'loss'"),
    ("MLP()", "dropout_rate", "'dropout'"),
    ("MLP()", "lr", "learning_rate= to fit"),
    ("MLP()", "learning_rate", "learning_rate= to fit"),
    ("MLP()", "learning_rate_init", "learning_rate= to fit"),
    ("MLP()", "solver", "optimizer= to fit"),
    ("MLP()", "optimizer", "optimizer= to fit"),
    ("MLP()", "max_iter", "epochs= to fit"),
    ("MLP()", "epochs", "epochs= to fit"),
    ("MLP()", "verbose", "progress=True to fit"),
    ("MLP()", "early_stopping", "pynn.EarlyStopping"),
    ("MLP()", "warm_start", "a further call of fit"),
    ("MLP()", "device", "CPU"),
    ("MLP()", "activatoin", "did you mean 'activation'?"),
    ("MLP.fit()", "lr", "'learning_rate'"),
    ("MLP.fit()", "n_epochs", "'epochs'"),
    ("MLP.fit()", "nb_epoch", "'epochs'"),
    ("MLP.fit()", "max_iter", "'epochs'"),
    ("MLP.fit()", "verbose", "'progress'"),
    ("MLP.fit()", "bs", "'batch_size'"),
    ("MLP.fit()", "validation_fraction", "'validation_split'"),
    ("MLP.fit()", "class_weights", "'class_weight'"),
    ("MLP.fit()", "sample_weights", "'sample_weight'"),
    ("MLP.fit()", "scoring", "'metrics'"),
    ("MLP.fit()", "random_state", "seed= to pynn.MLP"),
    ("MLP.fit()", "momentum", "pynn.SGD(0.003, momentum=0.9)"),
    ("MLP.fit()", "weight_decay", "pynn.AdamW(weight_decay=0.01)"),
    ("MLP.fit()", "early_stopping", "pynn.EarlyStopping"),
    ("MLP.fit()", "restore_best_weights", "pynn.EarlyStopping"),
    ("MLP.fit()", "n_iter_no_change", "pynn.EarlyStopping"),
    ("MLP.fit()", "patience", "pynn.EarlyStopping"),
    ("MLP.fit()", "eval_set", "'validation_data'"),
    ("MLP.fit()", "initial_epoch", "continues the training"),
    ("MLP.fit()", "alpha", "l2= to pynn.MLP"),
    ("MLP.fit()", "dropout_rate", "dropout= to pynn.MLP"),
    ("MLP.fit()", "clipnorm", "pynn.Adam(clip_norm=1.0)"),
    ("MLP()", "class_weight", "class_weight= to fit"),
    ("MLP()", "validation_split", "validation_split= to fit"),
    ("MLP.fit()", "tol", "min_delta=tol"),
    ("MLP.fit()", "n_jobs", "pynn.set_num_threads(n)"),
    ("MLP.fit()", "epoch", "did you mean 'epochs'?"),
    ("MLP.train_on_batch()", "lr", "'learning_rate'"),
    ("MLP.train_on_batch()", "sample_weights", "'sample_weight'"),
    ("EarlyStopping()", "restore_best_weights", "'restore_best'"),
    ("EarlyStopping()", "n_iter_no_change", "'patience'"),
    ("EarlyStopping()", "tol", "'min_delta'"),
    ("EarlyStopping()", "threshold", "'min_delta'"),
    ("EarlyStopping()", "verbose", ""),
    ("EarlyStopping()", "metric", "'monitor'"),
    ("Checkpoint()", "save_best_only", "'best_only'"),
    ("Checkpoint()", "filepath", "'path'"),
    ("SGD()", "lr", "'learning_rate'"),
    ("SGD()", "eta0", "'learning_rate'"),
    ("SGD()", "rate", "'learning_rate'"),
    ("RMSprop()", "alpha", "'rho'"),
    ("RMSprop()", "centered", "no such variant"),
    ("SGD()", "nesterovs_momentum", "'nesterov'"),
    ("SGD()", "decay", "'weight_decay'"),
    ("SGD()", "clipnorm", "'clip_norm'"),
    ("Adam()", "lr", "'learning_rate'"),
    ("Adam()", "beta_1", "'beta1'"),
    ("Adam()", "betas", "beta1= and beta2="),
    ("Adam()", "eps", "'epsilon'"),
    ("Adam()", "amsgrad", "no such variant"),
    ("Adam()", "global_clipnorm", "'clip_norm'"),
    ("AdamW()", "alpha", "'weight_decay'"),
    ("RMSprop()", "lr", "'learning_rate'"),
    ("RMSprop()", "eps", "'epsilon'"),
    ("MLP.predict()", "verbose", "shows no progress"),
    ("MLP.predict()", "batch_size", "a few rows at a time"),
    ("MLP.predict()", "callbacks", "calls nothing"),
    ("MLP.predict()", "steps", "goes through all of X"),
    ("MLP.predict_proba()", "verbose", "shows no progress"),
    ("MLP.evaluate()", "verbose", "shows no progress"),
    ("MLP.evaluate()", "batch_size", "a few rows at a time"),
    ("MLP.evaluate()", "return_dict", "always"),
    ("MLP.evaluate()", "sample_weights", "'sample_weight'"),
    ("MLP.evaluate()", "scoring", "'metrics'"),
    ("MLP.score()", "sample_weights", "'sample_weight'"),
    ("MLP.score()", "class_weight", "class_weight= to fit"),
    ("MLP.hidden()", "layers", "'layer'"),
    ("MLP.hidden()", "index", "'layer'"),
    ("MLP.gradients()", "train", "'training'"),
    ("MLP.save()", "overwrite", "takes the place"),
    ("MLP.save()", "save_format", "path's end"),
    ("load()", "compile", "optimizer is in the file"),
    ("load()", "custom_objects", "nothing but arrays"),
    ("fit_many()", "n_jobs", "pynn.set_num_threads(n)"),
    ("fit_many()", "verbose", "'progress'"),
]


@pytest.mark.parametrize(("called", "keyword", "says"), KEYWORDS)
def test_the_message_names_ours(called, keyword, says):
    _, call = CALLS[called]
    with pytest.raises(TypeError) as caught:
        call(**{keyword: 0.5})
    assert f"{keyword!r}" in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("called", CALLS)
def test_the_signature_shows_no_other_keywords(called):
    function, _ = CALLS[called]
    kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert "unknown" not in str(inspect.signature(function))
    if function.__name__ == "__init__":
        made = getattr(pynn, called.strip("()"))
        assert list(inspect.signature(made).parameters) == arguments(function)


def test_it_is_the_first_argument_that_is_refused_and_nothing_has_changed():
    one, before = net(), net()
    with pytest.raises(TypeError, match="'lr'"):
        one.fit(X, Y, lr=0.1, verbose=1, epochs=3)
    assert_same_bits(one, before)
    assert one.history is None


POSITIONS = {
    "fit": (lambda: net().fit(X, Y, 32), "write epochs=32, batch_size=32 or steps_per_epoch=32"),
    "fit, Keras' order": (
        lambda: net().fit(X, Y, 32, 10),
        "MLP.fit() takes 2 positional arguments, X and y, got 4: write epochs=32, batch_size=32 or "
        "steps_per_epoch=32",
    ),
    "fit, scikit-learn's order": (lambda: net().fit(X, Y, np.ones(12)), "write sample_weight="),
    "fit, validation data": (lambda: net().fit(X, Y, (X, Y)), "write validation_data="),
    "fit, an optimizer": (lambda: net().fit(X, Y, pynn.SGD()), "write optimizer="),
    "fit, a schedule": (lambda: net().fit(X, Y, pynn.Constant(0.1)), "write learning_rate="),
    "fit, a rate": (
        lambda: net().fit(X, Y, 0.1),
        "write learning_rate=0.1 or validation_split=0.1",
    ),
    "fit, None": (lambda: net().fit(X, Y, None), "callbacks=, steps_per_epoch= or progress="),
    "EarlyStopping": (lambda: pynn.EarlyStopping("val_loss", 0), "write patience=0"),
    "EarlyStopping, Keras' order": (
        lambda: pynn.EarlyStopping("val_loss", 0, 5),
        "EarlyStopping() takes 1 positional argument, monitor, got 3: write patience=0",
    ),
    "EarlyStopping, a float": (
        lambda: pynn.EarlyStopping("val_loss", 0.5),
        "write min_delta=0.5",
    ),
    "Checkpoint": (lambda: pynn.Checkpoint("net.npz", True), "write best_only=True"),
    "Checkpoint, Keras' order": (
        lambda: pynn.Checkpoint("net.npz", "val_loss"),
        "write monitor='val_loss'",
    ),
    "gradients": (lambda: net().gradients(X, Y, None, True), "write training=True"),
    "input_gradient": (lambda: net().input_gradient(X, Y, None, True), "write training=True"),
    "backward": (
        lambda: net().backward(np.ones((12, 3)), X, True),
        "write training=True or parameters=True",
    ),
    "train_on_batch": (
        lambda: net().train_on_batch(X, Y, None, None, 0.1),
        "write learning_rate=0.1",
    ),
    "fit_many": (lambda: pynn.fit_many([net()], X, Y, 0.1), "write validation_split=0.1"),
    "to_torch": (lambda: net().to_torch(True), "write logits=True"),
    "huber": (lambda: pynn.huber(X, X, 0.5), "write delta=0.5"),
    "pinball": (lambda: pynn.pinball(X, X, 0.5), "write quantile=0.5"),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_positional_arguments_end(name):
    call, says = POSITIONS[name]
    with pytest.raises(TypeError, match="positional argument") as caught:
        call()
    assert str(caught.value).endswith(says)


# A required argument by another library's name: ours is named, not only that it is missing.
REQUIRED = {
    "CosineDecay() got an unexpected keyword argument 'initial_learning_rate'; pynn calls it "
    "'rate'": lambda: pynn.CosineDecay(initial_learning_rate=0.1, decay_steps=9),
    "CosineDecay() got an unexpected keyword argument 'decay_steps'; pynn calls it 'steps'": (
        lambda: pynn.CosineDecay(0.1, decay_steps=9)
    ),
    "ExponentialDecay() got an unexpected keyword argument 'decay_rate'; pynn calls it 'factor'": (
        lambda: pynn.ExponentialDecay(0.1, decay_rate=0.5)
    ),
    "StepDecay() got an unexpected keyword argument 'step_size'; pynn calls it 'every'": (
        lambda: pynn.StepDecay(0.1, step_size=3)
    ),
    "InverseScaling() got an unexpected keyword argument 'lr'; pynn calls it 'rate'": (
        lambda: pynn.InverseScaling(lr=0.1)
    ),
    "OneCycle() got an unexpected keyword argument 'max_lr'; pynn calls it 'peak'": (
        lambda: pynn.OneCycle(max_lr=0.1, total_steps=9)
    ),
    "WarmUp() got an unexpected keyword argument 'warmup_steps'; pynn calls it 'steps'": (
        lambda: pynn.WarmUp(0.1, warmup_steps=9)
    ),
    "ReduceOnPlateau() got an unexpected keyword argument 'learning_rate'; pynn calls it 'rate'": (
        lambda: pynn.ReduceOnPlateau(learning_rate=0.1)
    ),
    "Constant() got an unexpected keyword argument 'lr'; pynn calls it 'rate'": (
        lambda: pynn.Constant(lr=0.1)
    ),
    "MLP() got an unexpected keyword argument 'hidden_layer_sizes': pass layer_sizes to pynn.MLP, "
    "inputs and outputs included, such as [4, 100, 3]": lambda: pynn.MLP(hidden_layer_sizes=(9,)),
    "Checkpoint() got an unexpected keyword argument 'filepath'; pynn calls it 'path'": (
        lambda: pynn.Checkpoint(filepath="net.npz")
    ),
    "MLP.fit() got an unexpected keyword argument 'x'; did you mean 'X'?": (
        lambda: net().fit(x=X, y=Y)
    ),
    "MLP.predict() got an unexpected keyword argument 'x'; did you mean 'X'?": (
        lambda: net().predict(x=X)
    ),
    "MLP.predict() got an unexpected keyword argument 'inputs'; pynn calls it 'X'": (
        lambda: net().predict(inputs=X)
    ),
    "MLP.evaluate() got an unexpected keyword argument 'labels'; pynn calls it 'y'": (
        lambda: net().evaluate(X, labels=Y)
    ),
    "fit_many() got an unexpected keyword argument 'data'; pynn calls it 'X'": (
        lambda: pynn.fit_many([net()], data=X, y=Y)
    ),
    "load() got an unexpected keyword argument 'filepath'; pynn calls it 'path'": (
        lambda: pynn.load(filepath="net.npz")
    ),
    # Without any, Python's own words.
    "CosineDecay() missing 2 required positional arguments: 'rate' and 'steps'": (pynn.CosineDecay),
    "CosineDecay() missing 1 required positional argument: 'rate'": (
        lambda: pynn.CosineDecay(steps=3)
    ),
    "MLP() missing 1 required positional argument: 'layer_sizes'": pynn.MLP,
    "MLP.fit() missing 1 required positional argument: 'X'": lambda: net().fit(y=Y),
    "MLP.predict() missing 1 required positional argument: 'X'": lambda: net().predict(),
    "fit_many() missing 3 required positional arguments: 'models', 'X' and 'y'": (pynn.fit_many),
}


@pytest.mark.parametrize("message", REQUIRED)
def test_required_arguments_by_another_name(message):
    with pytest.raises(TypeError) as caught:
        REQUIRED[message]()
    assert str(caught.value) == message


def test_required_arguments_stay_required_in_the_signature():
    empty = inspect.Parameter.empty
    for function, count in ((pynn.CosineDecay, 2), (pynn.MLP, 1), (pynn.fit_many, 3)):
        defaults = [p.default for p in inspect.signature(function).parameters.values()]
        assert [d is empty for d in defaults] == [i < count for i in range(len(defaults))]


# ------------------------------------------------------------------ attributes

ATTRIBUTES = [
    (net, "lr", "learning_rate= to fit"),
    (net, "learning_rate", "learning_rate= to fit"),
    (net, "epochs", "epochs= to fit"),
    (net, "batch_size", "batch_size= to fit"),
    (net, "alpha", "'l2'"),
    (net, "random_state", "'seed'"),
    (net, "verbose", "progress=True to fit"),
    (net, "hidden_layer_sizes", "layer_sizes to pynn.MLP"),
    (net, "activation", "activation= to pynn.MLP"),
    (pynn.SGD, "lr", "'learning_rate'"),
    (pynn.SGD, "l2", "l2= to pynn.MLP"),
    (pynn.SGD, "decay", "'weight_decay'"),
    (pynn.Adam, "beta_1", "'beta1'"),
    (pynn.Adam, "eps", "'epsilon'"),
    (pynn.Adam, "weight_decay", "AdamW"),
    (pynn.AdamW, "clipnorm", "'clip_norm'"),
    (pynn.RMSprop, "lr", "'learning_rate'"),
]


@pytest.mark.parametrize(("make", "name", "says"), ATTRIBUTES)
def test_foreign_attributes(make, name, says):
    thing = make()
    with pytest.raises(AttributeError) as caught:
        setattr(thing, name, 0.1)
    assert repr(name) in str(caught.value)
    assert says in str(caught.value)
    assert not hasattr(thing, name)


def fitted():
    return net().fit(X, Y, epochs=1)


MISSPELT = [
    (net, "optimzer", "optimizer"),
    (net, "Optimizer", "optimizer"),
    (net, "predcit", "predict"),
    (net, "note", None),
    (pynn.SGD, "momentun", "momentum"),
    (pynn.SGD, "note", None),
    (pynn.Adam, "learningrate", "learning_rate"),
    (pynn.RMSprop, "roh", None),
    (pynn.Callback, "on_epoch_edn", None),
    (pynn.EarlyStopping, "patence", "patience"),
    (pynn.EarlyStopping, "best_epcoh", "best_epoch"),
    (pynn.EarlyStopping, "note", None),
    (lambda: pynn.Checkpoint("net.npz"), "montor", "monitor"),
    (fitted, "histroy", "history"),
    (lambda: pynn.fit_many([net()], X, Y, epochs=1), "modles", "models"),
    # (The objects that never change.)
    (pynn.Huber, "dleta", None),
    (pynn.SoftmaxCrossEntropy, "label_smooting", None),
    (lambda: pynn.CosineDecay(0.1, 9), "stesp", None),
    (lambda: pynn.ReduceOnPlateau(0.1), "patence", None),
]


@pytest.mark.parametrize(("make", "name", "meant"), MISSPELT)
def test_unknown_attributes(make, name, meant):
    thing = make()
    with pytest.raises(AttributeError, match=name) as caught:
        setattr(thing, name, 3)
    assert not hasattr(thing, name)
    if name == "note":
        assert str(caught.value).endswith("; a subclass may have attributes of its own")
    if meant is not None:
        assert str(caught.value).endswith(f"; did you mean {meant!r}?")


def test_methods_may_be_replaced():
    callback, calls = pynn.Callback(), []
    callback.on_epoch_end = lambda net, history: calls.append(len(history))
    net().fit(X, Y, epochs=2, callbacks=callback)
    assert calls == [1, 2]


def test_settings_may_be_set():
    stop = pynn.EarlyStopping("loss")
    stop.patience = 0
    assert len(net().fit(X, Y, epochs=99, callbacks=stop, learning_rate=1e-30)) < 99


class Own(pynn.MLP):
    def __init__(self, lr):
        super().__init__([4, 5, 3], seed=0)
        self.lr, self.verbose, self.epochs = lr, True, 3


class OwnStopping(pynn.EarlyStopping):
    def __init__(self, note):
        super().__init__("loss")
        self.note = note


class OwnCallback(pynn.Callback):
    def __init__(self, note):
        self.note = note


class OwnSGD(pynn.SGD):
    def __init__(self, lr):
        self.lr = lr
        super().__init__(lr)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_subclasses_may_have_any_attribute_and_are_copied(copied):
    thing, sgd = copied(Own(0.1)), copied(OwnSGD(0.1))
    for kind in (OwnStopping, OwnCallback):
        assert copied(kind("mine")).note == "mine"
    assert (thing.lr, thing.verbose, thing.epochs, sgd.lr) == (0.1, True, 3, 0.1)
    thing.lr = sgd.lr = 0.2
    twin = net()
    thing.fit(X, Y, epochs=2, optimizer=sgd)
    twin.fit(X, Y, epochs=2, optimizer=pynn.SGD(0.1))
    assert_same_bits(thing, twin)


@pytest.mark.parametrize(
    "make",
    [net, pynn.SGD, pynn.Adam, pynn.AdamW, pynn.RMSprop, pynn.EarlyStopping,
     lambda: pynn.Checkpoint("net.npz")],
)  # fmt: skip
def test_all_can_be_pickled(make):
    thing = make()
    for twin in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing)):
        assert type(twin) is type(thing)
        assert repr(twin) == repr(thing)


@pytest.mark.parametrize("function", [pynn.MLP, pynn.MLP.fit, pynn.EarlyStopping, pynn.Huber])
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_signatures_are_copied_and_pickled(function, copied):
    signature = inspect.signature(function)
    assert copied(signature) == signature
    assert type(copied(signature)) is inspect.Signature
