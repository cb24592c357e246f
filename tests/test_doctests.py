"""The examples in the docstrings run and print what they show."""

import doctest
import importlib
import pkgutil

import pytest

import pynn

MODULES = ["pynn", *(m.name for m in pkgutil.walk_packages(pynn.__path__, "pynn."))]
# What the examples of a module need beside pynn.
PACKAGES = {
    "pynn.convert.sklearn": "sklearn",
    "pynn.convert.torch": "torch",
    "pynn.formats.onnx": "onnx",
    "pynn.formats.sklearn": "sklearn",
    "pynn.formats.torch": "torch",
    "pynn.sklearn": "sklearn",
}


@pytest.mark.parametrize("name", [name for name in MODULES if name != "pynn._core"])
def test_docstrings(name):
    for part, package in PACKAGES.items():
        if name == part or name.startswith(f"{part}."):
            pytest.importorskip(package)
    result = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for item in (pynn.MLP, pynn.SGD, pynn.History, pynn.threads, pynn.set_num_threads, pynn.gemm):
        assert any(test.examples for test in finder.find(item)), item
    # Compiled functions are found in the modules that define them, with their examples.
    found = finder.find(importlib.import_module("pynn.ops.softmaxes"))
    assert {test.name.split(".")[-1] for test in found if test.examples} >= {
        "softmax",
        "log_softmax",
    }
