"""Fitted estimators as ONNX, C and torch, compared with their predictions."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from toolchain import run

import pynn
from pynn.convert import from_sklearn, to_c, to_onnx, to_torch
from pynn.formats import c as conversion

neural = pytest.importorskip("sklearn.neural_network")
ours = pytest.importorskip("pynn.sklearn")

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5))
THREE = np.arange(40) % 3
NAMES = np.array(["a/*b*/", 'the "second"', "Größe\\"])
TARGETS = {
    "three": ("MLPClassifier", THREE, [0, 1, 2]),
    "two": ("MLPClassifier", np.array(["yes", "no"])[THREE % 2], ["no", "yes"]),
    "flags": ("MLPClassifier", THREE == 1, [False, True]),
    "labels": ("MLPClassifier", (rng.random((40, 3)) < 0.5).astype(int), [0, 1, 2]),
    "names": ("MLPClassifier", NAMES[THREE], sorted(NAMES.tolist())),
    "values": ("MLPRegressor", rng.normal(size=(40, 2)), None),
    "one value": ("MLPRegressor", rng.normal(size=40), None),
}
cases = pytest.mark.parametrize("case", TARGETS)
packages = pytest.mark.parametrize("package", [ours, neural], ids=["pynn", "scikit-learn"])


def fit(package, case, dtype=np.float64, **settings):
    """A fitted estimator, its outputs for `X`, and the labels of its classes."""
    kind, y, classes = TARGETS[case]
    settings = {"hidden_layer_sizes": (7, 6), "max_iter": 5, "random_state": 0, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = getattr(package, kind)(**settings).fit(X.astype(dtype), y)
    if classes is None:
        return estimator, estimator.predict(X).reshape(40, -1), None
    outputs = estimator.predict_proba(X)
    return estimator, outputs[:, 1:] if len(classes) == 2 else outputs, classes


@packages
@cases
def test_onnx(package, case):
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    estimator, expected, classes = fit(package, case, activation="tanh")
    model = to_onnx(estimator)
    onnx.checker.check_model(model, full_check=True)
    (outputs,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"X": X})
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata == ({} if classes is None else {"classes": classes})


@packages
@cases
def test_torch(package, case):
    torch = pytest.importorskip("torch")
    estimator, expected, _ = fit(package, case)
    with torch.no_grad():
        outputs = to_torch(estimator)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)


MAIN = """
#include <stdio.h>
void FILE_NAME(const double *x, double *y);
int main(void)
{
    double x[5], y[3];
    while (scanf("%lf %lf %lf %lf %lf", x, x + 1, x + 2, x + 3, x + 4) == 5) {
        FILE_NAME(x, y);
        for (int i = 0; i < OUTPUTS; i++)
            printf("%.17g\\n", y[i]);
    }
    return 0;
}
"""


@pytest.mark.skipif(not shutil.which("cc") or sys.platform == "win32", reason="no C compiler")
@packages
@cases
def test_c(package, case, tmp_path):
    estimator, expected, classes = fit(package, case)
    to_c(estimator, tmp_path / f"{case}.c")
    text = (tmp_path / f"{case}.c").read_text()
    name = case.replace(" ", "_")
    main = MAIN.replace("FILE_NAME", name).replace("OUTPUTS", str(expected.shape[1]))
    (tmp_path / "main.c").write_text(main)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    files = [tmp_path / f"{case}.c", tmp_path / "main.c"]
    run("cc", *flags, *files, "-o", tmp_path / "main", "-lm")
    samples = "\n".join(" ".join(f"{v:.17g}" for v in row) for row in X)
    done = subprocess.run(
        [tmp_path / "main"], input=samples, capture_output=True, text=True, check=True
    )
    outputs = np.array(done.stdout.split(), float).reshape(expected.shape)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)
    if classes is not None:
        (line,) = (line for line in text.splitlines() if line.startswith("   ["))
        assert json.loads(line) == classes
    else:
        assert "classes" not in text


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_methods_of_the_estimators(kind, tmp_path):
    onnx = pytest.importorskip("onnx")
    from sklearn.exceptions import NotFittedError

    estimator = getattr(ours, kind)()
    for call in (estimator.to_onnx, lambda: estimator.to_c(tmp_path / "net.c")):
        with pytest.raises(NotFittedError, match=f"This {kind} instance is not fitted yet"):
            call()
    assert not list(tmp_path.iterdir())
    estimator, _, _ = fit(ours, "three" if kind == "MLPClassifier" else "values", np.float32)
    model = estimator.to_onnx(tmp_path / "net.onnx")
    assert model == to_onnx(estimator) == onnx.load(tmp_path / "net.onnx")
    estimator.to_c(tmp_path / "net.c")
    to_c(estimator, tmp_path / "again.c", "net")
    assert (tmp_path / "net.c").read_bytes() == (tmp_path / "again.c").read_bytes()
    assert "void net(const float *x, float *y);" in (tmp_path / "net.c").read_text()
    estimator.to_c(tmp_path / "net.c", name="iris")
    assert "void iris(const float *x" in (tmp_path / "net.c").read_text()


def test_a_network_of_a_regressor_of_one_value_predicts_vectors():
    for package in (ours, neural):
        for case, expected in (("one value", True), ("values", False), ("two", False)):
            net = from_sklearn(fit(package, case)[0])
            assert vars(net).get("_targets_1d", False) is expected


# ------------------------------------------------------------- names of C files

FILES = {
    "digits.c": "digits",
    "Digits_v2.c": "Digits_v2",
    "iris.v2.c": "iris_v2",
    "a-b c.c": "a_b_c",
    "__x__.c": "x",
    "8x8-a.c": "net_8x8_a",
    "net": "net",
    ".hidden": "hidden",
    "Größe.c": "Gro_e",
    "modèle.c": "modele",
    "exp.c": "exp_net",
    "double.h": "double_net",
    "class.cpp": "class_net",
    "main.c": "main_net",
    "NAN.c": "NAN_net",
}


@pytest.mark.parametrize("file", FILES)
def test_the_function_has_the_files_name(file, tmp_path):
    net = pynn.MLP([2, 1], loss="mse", seed=0)
    expected = f"void {FILES[file]}(const float *x, "
    for path in (tmp_path / file, str(tmp_path / file), str(tmp_path / file).encode()):
        net.to_c(path)
        text = (tmp_path / file).read_text()
        assert expected in text
        assert conversion.check_name(FILES[file])


def test_a_link_names_the_function(tmp_path):
    (tmp_path / "iris.c").symlink_to(tmp_path / "target.c")
    to_c(pynn.MLP([2, 1], loss="mse"), tmp_path / "iris.c")
    assert "void iris(" in (tmp_path / "target.c").read_text()


@pytest.mark.parametrize("file", ["日本.c", "_.c", "---.c"])
def test_files_whose_names_give_none(file, tmp_path):
    net = pynn.MLP([2, 1], loss="mse")
    with pytest.raises(
        ValueError, match=r"path's file name .* no ASCII letter or digit.*pass name"
    ):
        to_c(net, tmp_path / file)
    assert not list(tmp_path.iterdir())
    to_c(net, tmp_path / file, name="net")


@pytest.mark.skipif(not shutil.which("cc") or sys.platform == "win32", reason="no C compiler")
def test_two_files_in_one_program(tmp_path):
    for seed, name in enumerate(("iris", "digits")):
        pynn.MLP([5, 3], seed=seed).to_c(tmp_path / f"{name}.c")
    files = [tmp_path / "iris.c", tmp_path / "digits.c"]
    run("cc", "-shared", "-fPIC", *files, "-o", tmp_path / "both.so", "-lm")
