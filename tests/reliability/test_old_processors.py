"""Older and newer processors, emulated: the same package imports there, chooses kernels that the
processor has, and trains. Needs Linux on x86-64 and qemu-x86_64 (Debian: qemu-user)."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sanitizers import not_sanitized

QEMU = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
pytestmark = pytest.mark.skipif(
    QEMU is None or not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="no qemu-x86_64",
)

PROGRAM = Path(__file__).with_name("digits_program.py")


@pytest.fixture
def folder(tmp_path):
    """With the digits in a file: the emulator would take long to import scikit-learn."""
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    np.savez(tmp_path / "digits.npz", x=x / 16, y=y)
    return tmp_path


def train(file, *prefix, isa=""):
    """What the program trained, and the instruction set that it used."""
    done = subprocess.run(
        [*prefix, sys.executable, PROGRAM, file],
        env={**os.environ, "PYNN_ISA": isa, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=600,  # (a busy machine)
        check=False,
    )
    if prefix and "NumPy was built with baseline optimizations" in done.stderr:
        pytest.skip("this NumPy does not run on that processor")
    assert done.returncode == 0, done.stderr
    with np.load(file) as results:
        return done.stdout.strip(), [results[name] for name in results.files]


PROCESSORS = {"Nehalem": "baseline", "SandyBridge": "baseline", "Haswell": "avx2"}


@not_sanitized("the emulator has no room for its shadow memory")
@pytest.mark.parametrize(("processor", "isa"), PROCESSORS.items(), ids=list(PROCESSORS))
def test_an_old_processor_trains_the_digits(processor, isa, folder):
    used, results = train(folder / "emulated.npz", QEMU, "-cpu", processor)
    assert used == isa
    _, native = train(folder / "native.npz", isa=isa)
    for a, b in zip(results, native, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
