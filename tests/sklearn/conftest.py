"""The tests of pynn.sklearn need scikit-learn, and `pairs` beside them."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", minversion="1.5")
sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items):
    """scikit-learn before 1.8 hands SciPy's L-BFGS-B an option that later SciPy calls outdated."""
    message = "ignore:scipy.optimize. The `disp` and `iprint` options:DeprecationWarning"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(message))
