"""`dir` and completion offer public names only."""

import importlib
import inspect
import pydoc
import re

import pytest

import pynn

PACKAGES = ("convert", "files", "formats", "many", "ops", "plot", "sklearn")


def offered(module):
    return {name for name in dir(module) if not name.startswith("_")}


def test_of_the_package():
    for package in PACKAGES:  # what is imported later becomes an attribute, and no public name
        importlib.import_module(f"pynn.{package}")
    public = {name for name in pynn.__all__ if not name.startswith("_")}
    assert offered(pynn) == public | {"sklearn"}
    for name in dir(pynn):
        getattr(pynn, name)
    modules = {name for name in offered(pynn) if inspect.ismodule(getattr(pynn, name))}
    assert modules == {"convert", "layers", "plot", "sklearn"}


@pytest.mark.parametrize("package", PACKAGES)
def test_of_its_packages(package):
    module = importlib.import_module(f"pynn.{package}")
    assert offered(module) == set(module.__all__)
    for name in dir(module):
        assert not inspect.ismodule(getattr(module, name))


def test_help_begins_with_what_a_user_calls():
    text = pydoc.render_doc(pynn.MLP, renderer=pydoc.plaintext)
    assert "`fit` trains, `predict` gives" in text[: text.index("Parameters")]
    inherited = text[text.index("Methods inherited from pynn.network.Network") :]
    methods = re.findall(r"^ \|  (\w+)\(", inherited, re.M)
    assert methods[:5] == ["fit", "predict", "predict_proba", "score", "evaluate"]
    assert set(pynn.MLP._fields) <= {*methods, "summary"}
