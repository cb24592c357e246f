"""The package on 64-bit ARM, emulated: trains the digits to the bits of x86, and the caller's
floating-point state stays as it was. Needs the folder made by tools/aarch64.sh, in PYNN_AARCH64.
(The kernels by themselves, without CPython: tests/kernels/test_cross_compiled.py.)"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy_mlp import run_python

import pynn

FOLDER = os.environ.get("PYNN_AARCH64", "")
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="PYNN_AARCH64 names no emulated Python"),
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64", reason="compares with x86"
    ),
]


def run_emulated(program, folder, *arguments, threads=1):
    done = subprocess.run(
        [Path(FOLDER, "python"), program, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def arrays_of(file):
    with np.load(file) as results:
        return [results[name] for name in results.files]


def test_the_digits(tmp_path):
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    fused = [isa for isa in pynn.show_config("dict")["isas_usable"] if isa != "baseline"]
    if not fused:
        pytest.skip("this processor has no fused multiply-add")
    np.savez(tmp_path / "digits.npz", x=x / 16, y=y)
    program = HERE / "digits_program.py"
    assert run_emulated(program, tmp_path, "neon.npz") == "neon"
    code = f"import runpy; runpy.run_path({str(program)!r})"
    environment = {**os.environ, "PYNN_ISA": fused[0]}
    run_python(code, tmp_path, "native.npz", environment=environment)
    pairs = list(
        zip(arrays_of(tmp_path / "neon.npz"), arrays_of(tmp_path / "native.npz"), strict=True)
    )
    assert len(pairs) == 12
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


# A training step on several threads, with what the digits have not: dropout, penalties, clipping,
# other activations, labels that are numbers.
MANY = """
import sys
import numpy as np
import pynn

rng = np.random.default_rng(0)
x, y = rng.normal(size=(300, 200)), rng.normal(size=(300, 5))
net = pynn.MLP([200, 256, 64, 5], ["gelu", "relu"], pynn.Huber(0.5), dropout=0.1, l1=1e-5, l2=1e-4,
               max_norm=2.0, seed=3)
optimizer = pynn.SGD(0.05, momentum=0.9, nesterov=True, clip_norm=1.0)
net.fit(x, y, epochs=3, batch_size=128, optimizer=optimizer)
np.savez(sys.argv[1], net._engine.parameters, net(x))
"""


def test_everything_at_once(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(MANY, encoding="utf-8")
    run_emulated(program, tmp_path, "neon.npz", threads=2)
    run_python(MANY, tmp_path, "native.npz")
    for a, b in zip(
        arrays_of(tmp_path / "neon.npz"), arrays_of(tmp_path / "native.npz"), strict=True
    ):
        assert a.tobytes() == b.tobytes()


def test_the_float_state_is_the_callers(tmp_path):
    assert run_emulated(HERE / "float_control.py", tmp_path) == "12"
