"""The tests of pynn.sklearn need scikit-learn, and `pairs` beside them."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", minversion="1.5")
sys.path.insert(0, str(Path(__file__).parent))
