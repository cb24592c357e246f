"""NumPy's own tests of matmul, which ship in its wheel, run on pynn.matmul."""

import types

import numpy as np
import pytest

import pynn

suite = pytest.importorskip("numpy._core.tests.test_multiarray", exc_type=ImportError)


class _Redirected(types.ModuleType):
    """NumPy, with pynn's matmul: some of the tests call ``np.matmul`` rather than theirs."""

    matmul = staticmethod(pynn.matmul)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.fixture(autouse=True)
def _redirect(monkeypatch):
    monkeypatch.setattr(suite, "np", _Redirected("numpy"))


class TestMatmul(suite.TestMatmul):
    matmul = staticmethod(pynn.matmul)


def test_the_tests_call_pynn(monkeypatch):
    """Breaking pynn's matmul breaks NumPy's tests of it."""
    monkeypatch.setattr(_Redirected, "matmul", staticmethod(lambda *args, **kwargs: np.zeros(1)))
    with pytest.raises(AssertionError):
        TestMatmul().test_dot_equivalent((np.ones((5, 3)), np.ones((3, 7))))
