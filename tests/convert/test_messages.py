"""Conversions of objects that are no networks: the error says what came, and the cure."""

import re
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.convert import from_sklearn, from_torch, to_c, to_onnx, to_sklearn, to_torch

X = np.random.default_rng(0).normal(size=(30, 4))
y = np.arange(30) % 3


# (Fits of one epoch warn.)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", params=["pynn.sklearn", "sklearn.neural_network"])
def package(request):
    return pytest.importorskip(request.param)


@pytest.fixture(scope="module")
def things(package):
    """By name: something, and what the message says after "got"."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import BaggingClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import StandardScaler

    settings = {"hidden_layer_sizes": (3,), "max_iter": 1, "random_state": 0}
    classifier = package.MLPClassifier(**settings)
    regressor = package.MLPRegressor(**settings)
    pipeline = make_pipeline(StandardScaler(), classifier)
    grid = {"alpha": [1e-4]}
    return {
        "pipeline": (
            pipeline.fit(X, y),
            "Pipeline; pass the network in it, {0}[-1]; its samples are those that "
            "{0}[:-1].transform returns",
        ),
        "pipeline of one": (
            make_pipeline(classifier).fit(X, y),
            "Pipeline; pass the network in it, {0}[-1]",
        ),
        "pipeline in a pipeline": (
            make_pipeline(StandardScaler(), pipeline).fit(X, y),
            "Pipeline; pass the network in it, {0}[-1][-1]; its samples are those that "
            "{0}[:-1].transform returns; its samples are those that "
            "{0}[-1][:-1].transform returns",
        ),
        "pipeline of others": (
            Pipeline([("scale", StandardScaler()), ("line", LinearRegression())]).fit(X, y),
            "Pipeline, whose last step, 'line', is no network but LinearRegression",
        ),
        "search": (
            GridSearchCV(classifier, grid, cv=2).fit(X, y),
            "GridSearchCV; pass the network in it, {0}.best_estimator_",
        ),
        "search over a pipeline": (
            RandomizedSearchCV(
                pipeline,
                {f"{type(classifier).__name__.lower()}__alpha": [1e-4]},
                n_iter=1,
                cv=2,
            ).fit(X, y),
            "RandomizedSearchCV; pass the network in it, {0}.best_estimator_[-1]; its samples "
            "are those that {0}.best_estimator_[:-1].transform returns",
        ),
        "search that is not fitted": (
            GridSearchCV(classifier, grid),
            "GridSearchCV, which is not fitted; call its fit first",
        ),
        "search that does not refit": (
            GridSearchCV(classifier, grid, cv=2, refit=False).fit(X, y),
            "GridSearchCV, which is not fitted; call its fit first",
        ),
        "transformed targets": (
            TransformedTargetRegressor(regressor, transformer=StandardScaler()).fit(X, X[:, 0]),
            "TransformedTargetRegressor; pass the network in it, {0}.regressor_; its "
            "predictions still need {0}.transformer_.inverse_transform",
        ),
        "several": (
            BaggingClassifier(classifier, n_estimators=2).fit(X, y),
            "BaggingClassifier; pass the network in it, {0}.estimators_[0]; {0}.estimators_ has 2",
        ),
        "one a class": (
            OneVsRestClassifier(classifier).fit(X, y),
            "OneVsRestClassifier; pass the network in it, {0}.estimators_[0]; {0}.estimators_ "
            "has 3",
        ),
        "one an output": (
            MultiOutputRegressor(regressor).fit(X, X),
            "MultiOutputRegressor; pass the network in it, {0}.estimators_[0]; {0}.estimators_ "
            "has 4",
        ),
        "another": (
            LinearRegression(),
            "LinearRegression, an estimator; pynn.from_sklearn makes a network of a "
            "multilayer perceptron",
        ),
        "class": (package.MLPClassifier, "the class MLPClassifier; pass an instance"),
    }


CASES = (
    "pipeline",
    "pipeline of one",
    "pipeline in a pipeline",
    "pipeline of others",
    "search",
    "search over a pipeline",
    "search that is not fitted",
    "search that does not refit",
    "transformed targets",
    "several",
    "one a class",
    "one an output",
    "another",
    "class",
)


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_estimator(things, case, tmp_path):
    thing, message = things[case]
    calls = {"estimator": [lambda: from_sklearn(thing)]}
    if case != "class":
        calls["net"] = [lambda: to_c(thing, tmp_path / "net.c"), lambda: to_torch(thing)]
    for name, functions in calls.items():
        expected = (
            f"{name} must be an MLPClassifier or MLPRegressor of scikit-learn or "
            f"pynn.sklearn, got {message.format(name)}"
        )
        for function in functions:
            with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
                function()


def test_the_networks_that_messages_name_are_taken(things):
    for case, (thing, message) in things.items():
        if found := re.search(r"in it, \{0\}([^;]*)", message):
            assert from_sklearn(eval(f"thing{found[1]}", {"thing": thing})), case


def test_estimators_that_are_not_fitted(package, tmp_path):
    from sklearn.exceptions import NotFittedError

    calls = {
        "estimator": [from_sklearn],
        "net": [to_torch, to_onnx, lambda e: to_c(e, tmp_path / "net.c")],
    }
    for name, functions in calls.items():
        for function in functions:
            message = rf"{name} is not fitted: MLPRegressor\(\); call its fit first"
            with pytest.raises(NotFittedError, match=message):
                function(package.MLPRegressor())


GIVEN = {
    "class": (lambda: pynn.MLP, "the class MLP; pass an instance"),
    "history": (pynn.History, "History, which fit returns; pass the network itself"),
    "string": (lambda: "net.npz", "str; pynn.load reads a network from a file"),
    "path": (lambda: Path("net.npz"), "PosixPath; pynn.load reads a network from a file"),
    "number": (lambda: 3, "int"),
    "none": (lambda: None, "NoneType"),
}


@pytest.mark.parametrize("case", GIVEN)
def test_what_is_no_network(case, tmp_path):
    make, message = GIVEN[case]
    calls = [to_torch, to_onnx, to_sklearn, lambda net: to_c(net, tmp_path / "net.c")]
    for call in calls:
        with pytest.raises(
            TypeError, match=rf"^net must be a pynn\.MLP, got {re.escape(message)}$"
        ):
            call(make())
    assert not list(tmp_path.iterdir())


def test_networks_where_others_are_expected():
    net = pynn.MLP([2, 2])
    with pytest.raises(TypeError, match="got MLP, which is a network of pynn already"):
        from_sklearn(net)
    with pytest.raises(TypeError, match="got MLP, which is a network of pynn already"):
        from_torch(net)
    with pytest.raises(TypeError, match=r"got MLPClassifier, an estimator; pynn\.from_sklearn"):
        to_sklearn(net.to_sklearn())
    with pytest.raises(TypeError, match=r"got Sequential of torch; pynn\.from_torch makes a netwo"):
        to_sklearn(net.to_torch())


@pytest.fixture(scope="module")
def modules():
    """By name: a module, and what the message says of it."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))

    class Holds(nn.Module):
        def __init__(self, **parts):
            super().__init__()
            for name, part in parts.items():
                self.add_module(name, part)

        def forward(self, x):
            return self.net(x)

    class Leaf(nn.Module):
        pass

    class Averaged(nn.Sequential):
        def forward(self, x):
            return super().forward(x) / 2

    unread = "Holds, whose forward cannot be read; "
    only = f"{unread}if it only calls the Sequential in it, pass "
    return {
        "a Sequential": (Holds(net=plain), f"module is {only}module.net"),
        "within": (Holds(body=Holds(net=plain)), f"module is {only}module.body.net"),
        "two Sequentials": (
            Holds(encoder=plain, decoder=nn.Sequential(nn.Linear(2, 4))),
            f"module is {only}module.encoder or module.decoder",
        ),
        "layers": (
            Holds(fc1=nn.Linear(4, 3), fc2=nn.Linear(3, 2)),
            f"module is {unread}pass an nn.Sequential of what it calls, in that order, made of "
            "module.fc1, module.fc2",
        ),
        "inside a Sequential": (
            nn.Sequential(nn.Linear(4, 4), Holds(net=plain)),
            f"module[1] is {only}module[1].net",
        ),
        "own forward": (
            Averaged(nn.Linear(4, 2)),
            "module is Averaged, whose forward cannot be read; pass an nn.Sequential of what "
            "it calls, in that order, made of module.0",
        ),
        "compiled": (
            torch.compile(plain),
            "module is OptimizedModule, a wrapper; pass module._orig_mod",
        ),
        "parallel": (nn.DataParallel(plain), "module is DataParallel, a wrapper; pass module.m"),
        "averaged": (
            torch.optim.swa_utils.AveragedModel(plain),
            "module is AveragedModel, a wrapper; pass module.module",
        ),
        "list": (
            nn.ModuleList([nn.Linear(4, 2)]),
            "module is ModuleList; it does not say in which order its modules are called: pass "
            "nn.Sequential(*module)",
        ),
        "dict": (
            nn.ModuleDict({"a": nn.Linear(4, 2)}),
            "module is ModuleDict; it does not say in which order its modules are called: pass "
            "nn.Sequential(*module.values())",
        ),
        "log softmax": (
            nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1)),
            "module[1] is LogSoftmax; leave it out and pass loss='softmax_cross_entropy'",
        ),
        "log sigmoid": (
            nn.Sequential(nn.Linear(4, 2), nn.LogSigmoid()),
            "module[1] is LogSigmoid; leave it out and pass loss='sigmoid_cross_entropy'",
        ),
        "softmax over one": (
            nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=1)),
            "module[1] is Softmax(dim=1), over one output, which is always 1; end in Sigmoid, "
            "or in two outputs",
        ),
        "leaf": (Leaf(), "module is Leaf(); expected Linear, Dropout"),
        "norm": (nn.Sequential(nn.InstanceNorm1d(4)), "module[0] is InstanceNorm1d(4, eps="),
    }


MODULES = (
    "a Sequential",
    "within",
    "two Sequentials",
    "layers",
    "inside a Sequential",
    "own forward",
    "compiled",
    "parallel",
    "averaged",
    "list",
    "dict",
    "log softmax",
    "log sigmoid",
    "softmax over one",
    "leaf",
    "norm",
)


@pytest.mark.parametrize("case", MODULES)
def test_modules_that_cannot_be_read(modules, case):
    module, message = modules[case]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        from_torch(module)


def test_the_modules_that_messages_name_are_taken(modules):
    names = {"parallel": "module.module", "list": "nn.Sequential(*module)"}
    from torch import nn

    for case, (module, message) in modules.items():
        found = re.search(r"pass (module[\w.\[\]]+)$", message)
        code = names.get(case) or (found and found[1])
        if code:
            assert from_torch(eval(code, {"nn": nn, "module": module})), case


def test_what_is_no_module():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    parts = [nn.Linear(4, 2), nn.ReLU()]
    given = {
        "the class Sequential; pass an instance": nn.Sequential,
        "OrderedDict; a state dict has no activations: load it into its module and pass that": (
            parts[0].state_dict()
        ),
        "list; pass nn.Sequential(*modules)": parts,
        "tuple; pass nn.Sequential(*modules)": tuple(parts),
        "MLP, which is a network of pynn already": pynn.MLP([2, 2]),
        "NoneType": None,
    }
    for message, thing in given.items():
        expected = f"^module must be a torch.nn.Sequential, got {re.escape(message)}$"
        with pytest.raises(TypeError, match=expected):
            from_torch(thing)
