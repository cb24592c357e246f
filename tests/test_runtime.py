"""The run time: configuration, instruction sets, imports, exported symbols."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from numpy_mlp import assert_close, run_python
from sanitizers import PATIENCE, not_sanitized

import pynn

FACTS = pynn.show_config("dict")
RELATIVE = {"float32": 1e-4, "float64": 1e-10}
# Networks whose sizes are whole numbers of tiles, and not; sums longer than a chunk; every
# activation and loss; each trained, then its weights, outputs and losses saved.
PROGRAM = """
import sys
import numpy as np
import pynn

assert pynn.show_config("dict")["isa"] == sys.argv[1]
rng, results = np.random.default_rng(0), []
for sizes, activation, loss, n, batch in [
    ([5, 16, 3], "relu", "softmax_cross_entropy", 100, 16),
    ([7, 13, 11, 1], "tanh", "sigmoid_cross_entropy", 90, 23),
    ([600, 37, 10], "sigmoid", "squared_error", 100, 64),
    ([20, 64, 48, 2], "identity", "mse", 1200, 700),
    ([784, 100, 10], "relu", "softmax_cross_entropy", 256, 128),
]:
    x = rng.normal(size=(n, sizes[0]))
    y = rng.random((n, sizes[-1]))
    if loss == "softmax_cross_entropy":
        y /= y.sum(axis=1, keepdims=True)
    for dtype in ("float32", "float64"):
        for sgd in (pynn.SGD(0.05), pynn.SGD(0.01, momentum=0.9, nesterov=True)):
            net = pynn.MLP(sizes, activation, loss, dtype=dtype, seed=1)
            history = net.fit(x, y, epochs=3, batch_size=batch, optimizer=sgd)
            results += [*net.weights, *net.biases, net(x), np.array(history.loss, dtype)]
np.savez(sys.argv[2], *results)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By instruction set, what PROGRAM computed with it."""
    folder, results = tmp_path_factory.mktemp("isa"), {}
    for isa in FACTS["isas_usable"]:
        environment = {**os.environ, "PYNN_ISA": isa}
        run_python(PROGRAM, folder, isa, f"{isa}.npz", environment=environment)
        with np.load(folder / f"{isa}.npz") as file:
            results[isa] = [file[name] for name in file.files]
    return results


def test_every_fused_instruction_set_gives_the_same_bits(trained):
    fused = [isa for isa in trained if isa != "baseline"]
    if len(fused) < 2:
        pytest.skip(f"one fused instruction set at most: {fused}")
    for isa in fused[1:]:
        for a, b in zip(trained[isa], trained[fused[0]], strict=True):
            assert a.tobytes() == b.tobytes()


def test_the_baseline_is_close(trained):
    for results in trained.values():
        for a, b in zip(results, trained["baseline"], strict=True):
            assert_close([a], [b], RELATIVE[a.dtype.name])


@pytest.mark.parametrize("isa", FACTS["isas_usable"])
def test_pynn_isa_forces(tmp_path, isa):
    code = "import json, pynn; print(json.dumps(pynn.show_config('dict')))"
    facts = json.loads(run_python(code, tmp_path, environment={**os.environ, "PYNN_ISA": isa}))
    assert facts["isa"] == isa
    assert facts["fused_multiply_add"] or isa == "baseline"


@pytest.mark.parametrize("isa", ["sse9", "AVX2 ", "native", "1"])
def test_an_impossible_instruction_set_is_an_error(tmp_path, isa):
    done = subprocess.run(
        [sys.executable, "-c", "import pynn"],
        cwd=tmp_path,
        env={**os.environ, "PYNN_ISA": isa},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        check=False,
    )
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError")
    for word in ("PYNN_ISA", isa, *FACTS["isas_usable"]):
        assert word in message


def test_the_best_instruction_set_is_the_default(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYNN_ISA"}
    code = "import pynn; print(pynn.show_config('dict')['isa'])"
    best = FACTS["isas_usable"][-1]
    assert run_python(code, tmp_path, environment=environment).strip() == best
    environment["PYNN_ISA"] = ""
    assert run_python(code, tmp_path, environment=environment).strip() == best


@pytest.mark.skipif(os.name != "posix", reason="Windows needs some variables")
@not_sanitized("LD_PRELOAD, which loads the run time, is part of the environment")
def test_an_empty_environment_will_do(tmp_path):
    code = "import pynn; print(pynn.MLP([2, 3, 2], seed=0).predict([[0, 0]]).shape)"
    assert run_python(code, tmp_path, environment={}).strip() == "(1,)"


def test_show_config(capsys):
    assert pynn.show_config() is None
    text = capsys.readouterr().out
    for name, value in FACTS.items():
        line = next(line for line in text.splitlines() if line.split(":")[0].strip() == name)
        assert (", ".join(value) if isinstance(value, list) else str(value)) in line
    assert set(FACTS) == {
        "version", "python", "compiler", "isa", "isas_built", "isas_usable",
        "fused_multiply_add", "openmp", "threads",
    }  # fmt: skip
    assert FACTS["version"] == pynn.__version__
    assert FACTS["isa"] in FACTS["isas_usable"]
    assert set(FACTS["isas_usable"]) <= set(FACTS["isas_built"])
    assert "baseline" in FACTS["isas_usable"]
    assert FACTS["threads"] >= 1
    with pytest.raises(ValueError, match="mode must be"):
        pynn.show_config("json")


def test_the_strategy_of_a_product():
    def strategies(*shape):
        facts = pynn.show_config("dict", shape=shape)
        return [facts[name] for name in ("forward", "input_gradient", "weight_gradient")]

    assert strategies(1, 2048, 2048)[2] == "outer"
    assert strategies(500, 300, 1) == ["gemv", "outer", "transposed"]
    assert strategies(500, 100, 5)[2] == "transposed"
    assert strategies(1, 2048, 2048)[:2] == ["streamed", "gemv"]
    assert strategies(20, 2048, 2048)[:2] == ["skinny", "transposed"]
    assert strategies(512, 512, 512)[0] == "blocks"
    with pytest.raises(ValueError, match="rows, inputs, outputs"):
        pynn.show_config(shape=(3, 4))
    with pytest.raises(ValueError, match=r"shape\[1\]"):
        pynn.show_config(shape=(3, 0, 4))


@not_sanitized("its run time takes part of the time")
def test_the_import_is_quick(tmp_path):
    """It takes 0.15 of NumPy's own time at most; a busy machine may need several attempts."""
    code = (
        "import time; a = time.process_time(); import numpy; b = time.process_time(); import pynn; "
        "print(b - a, time.process_time() - b)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run_python(code, tmp_path, environment=environment)  # writes the bytecode
    least = [math.inf, math.inf]
    for _ in range(40):
        seconds = map(float, run_python(code, tmp_path, environment=environment).split())
        least = list(map(min, least, seconds))
        if least[1] <= 0.13 * least[0]:
            break
    assert least[1] <= 0.15 * least[0], least


def test_the_import_leaves_what_is_slow_to_its_first_use(tmp_path):
    code = "import numpy, sys; a = set(sys.modules); import pynn; print(*{*sys.modules} - a)"
    imported = set(run_python(code, tmp_path).split())
    assert "pynn.mlp" in imported
    slow = {"dataclasses", "numpy.random", "string", "hashlib", "json", "zipfile", "inspect"}
    assert not imported & slow


def test_the_import_is_light(tmp_path):
    code = "import pynn, sys; print(*{name.split('.')[0] for name in sys.modules})"
    imported = set(run_python(code, tmp_path).split())
    assert "numpy" in imported
    assert not imported & {"sklearn", "matplotlib", "tqdm", "pandas", "scipy", "torch"}


def extension():
    return Path(sys.modules["pynn._core"].__file__)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("nm") is None, reason="no nm"
)
def test_the_extension_exports_its_init_function_only():
    done = subprocess.run(
        ["nm", "-D", "--defined-only", extension()], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["PyInit__core"]


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this CPython has one")
def test_the_core_needs_no_gil(tmp_path):
    """CPython would turn the GIL on for a module that does not declare it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHON_GIL"}
    code = "import pynn, sys; print(sys._is_gil_enabled())"
    assert run_python(code, tmp_path, environment=environment).strip() == "False"


def test_all_names_exist():
    assert sorted(set(pynn.__all__)) == sorted(pynn.__all__)
    assert all(hasattr(pynn, name) for name in pynn.__all__)


@pytest.mark.parametrize("rows", [3, 300])
def test_the_floating_point_state_is_restored(rows):
    net = pynn.MLP([4, 50, 2], "sigmoid", seed=0)
    x, log = np.full((rows, 4), 1e30), io.StringIO()
    old = np.seterrcall(log), np.seterr(all="log")
    try:
        net(x)
        net.evaluate(x, np.zeros(rows, int))
        net.gradients(np.full((rows, 4), 1e-30), np.zeros(rows, int))
        tiny = np.float32(1e-38) * np.float32([0.5])  # an underflow that NumPy itself logs
    finally:
        np.seterrcall(old[0])
        np.seterr(**old[1])
    assert tiny[0] > 0  # denormals are as they were
    assert "overflow" not in log.getvalue()
    assert "invalid" not in log.getvalue()
