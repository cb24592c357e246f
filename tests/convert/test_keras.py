"""Networks for and from Keras, which runs in another process, with torch as its backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import PATIENCE

HERE = Path(__file__).resolve().parent
SETTINGS = HERE.parents[1] / "pyproject.toml"


@pytest.mark.skipif(not SETTINGS.is_file(), reason="the settings of pytest are not here")
def test_in_keras(tmp_path):
    for package in ("keras", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", SETTINGS]
    done = subprocess.run(
        [*map(str, command), str(HERE / "in_keras.py")],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_keras(monkeypatch):
    import pynn

    monkeypatch.setitem(sys.modules, "keras", None)
    for function in (pynn.from_keras, pynn.convert.to_keras):
        with pytest.raises(ImportError, match=r"\w+_keras needs keras>=3\.3: pip install keras>"):
            function(pynn.MLP([2, 2]))
