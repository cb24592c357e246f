"""SciPy's own tests of expit, softmax and log_softmax, which ship in its wheel, run on pynn's."""

import importlib

import numpy as np
import pytest

import pynn


class _Marks:
    """pytest.mark without its strictness toward SciPy's marks, which name array libraries."""

    def __getattr__(self, name):
        of_libraries = name.endswith("_xp_backends") or name == "uses_xp_capabilities"
        return _without_mark if of_libraries else getattr(MARK, name)


def _without_mark(*args, **keywords):
    return lambda function: function


MARK = pytest.mark


def suite(name):
    """A module of SciPy's tests, or None where SciPy came without them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "mark", _Marks())
        try:
            return importlib.import_module(f"scipy.special.tests.{name}")
        except ImportError:
            return None


def over_axes(function):
    """`function` with SciPy's axis: a number, several, or None for all."""

    def on_axes(x, axis=None):
        x = np.asarray(x)
        axes = range(x.ndim) if axis is None else np.atleast_1d(axis).tolist()
        last = range(x.ndim - len(axes), x.ndim)
        moved = np.moveaxis(x, list(axes), list(last))
        flat = function(moved.reshape(*moved.shape[: last.start], -1))
        # ([()]: a scalar for a scalar)
        return np.moveaxis(flat.reshape(moved.shape), list(last), list(axes))[()]

    return on_axes


LOGIT, LOGSUMEXP = suite("test_logit"), suite("test_logsumexp")
OURS = {
    "expit": pynn.sigmoid,
    "softmax": over_axes(pynn.softmax),
    "log_softmax": over_axes(pynn.log_softmax),
}


@pytest.fixture(autouse=True)
def _redirect(monkeypatch):
    for module in (LOGIT, LOGSUMEXP):
        for name, function in OURS.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, function)


@pytest.fixture
def xp():
    """The array library that newer versions of SciPy's tests request."""
    return np


if hasattr(LOGIT, "TestExpit"):

    class TestExpit(LOGIT.TestExpit):
        pass


if hasattr(LOGSUMEXP, "TestSoftmax"):

    class TestSoftmax(LOGSUMEXP.TestSoftmax):
        pass


if hasattr(LOGSUMEXP, "TestLogSoftmax"):

    class TestLogSoftmax(LOGSUMEXP.TestLogSoftmax):
        pass


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("expit", lambda: TestExpit().test_float64()),
        ("softmax", lambda: TestSoftmax().test_softmax_array_like()),
        ("log_softmax", lambda: TestLogSoftmax().test_log_softmax_array_like()),
    ],
)
def test_the_tests_call_pynn(name, test, monkeypatch):
    """Breaking pynn's function breaks SciPy's tests of it."""
    module = LOGIT if name == "expit" else LOGSUMEXP
    if not (module and hasattr(module, "TestExpit" if name == "expit" else "TestLogSoftmax")):
        pytest.skip("this SciPy ships other tests or none")
    test()
    monkeypatch.setattr(module, name, lambda x, axis=None: np.full(np.shape(x), 7.0))
    with pytest.raises(AssertionError):
        test()
