"""A locale with a decimal comma, set by the process: it changes no output and no file."""

import os
import shutil
import subprocess
import sys

import pytest
from sanitizers import PATIENCE
from toolchain import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX's locales")

# Everything that pynn writes or reads as text, without times.
PROGRAM = """
import contextlib, hashlib, io, json, locale, re, sys, warnings
from pathlib import Path
import numpy as np

def take_locale():
    if sys.argv[1] != "C":
        locale.setlocale(locale.LC_ALL, sys.argv[1])
        assert locale.localeconv()["decimal_point"] == ","
        assert locale.str(1.5) == "1,5" and f"{1234.5:n}" != "1234.5"

if sys.argv[2] == "before":
    take_locale()
import pynn
from pynn.convert import to_c
take_locale()

out, bars = io.StringIO(), io.StringIO()
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(bars):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 5))
    y = rng.integers(3, size=1200)
    for dtype in ("float32", "float64"):
        net = pynn.MLP([5, 1100, 3], dtype=dtype, seed=0, dropout=0.25, l2=1.5e-4)
        checkpoint = pynn.Checkpoint(dtype + "-{epoch}-{loss:.3f}.pynn")
        net.fit(X, y, epochs=2, progress=True, callbacks=checkpoint,
                optimizer=pynn.Adam(pynn.schedules.CosineDecay(1.5e-3, 10)), validation_split=0.25)
        net.save(dtype + ".pynn")
        again = pynn.load(dtype + ".pynn")
        assert all((a == b).all() for a, b in zip(net.weights, again.weights))
        to_c(net, dtype + ".c")
        print(net, net.optimizer, net.loss, net.summary(), again.summary(), net.history["loss"])
        print(net._repr_html_() if hasattr(net, "_repr_html_") else "")
    pynn.show_config()
    for call in (
        lambda: net.fit(X, y, validation_split=1.5),
        lambda: net.fit(X, y, learning_rate=-0.5),
        lambda: net.fit(X, rng.normal(size=(1200, 3)) + 1.25),
        lambda: net.fit(X, y, epochs=3, batch_size=9, optimizer=pynn.SGD(1e250)),
        lambda: pynn.MLP([5, 3], dropout=1.5),
    ):
        try:
            call()
        except Exception as error:
            print(type(error).__name__, error)
print(out.getvalue())
print(len(re.findall(r"loss=[0-9]+[.][0-9]+ ", bars.getvalue())) > 0)
print(re.findall(r"[0-9],[0-9]", bars.getvalue()))
for path in sorted(Path().iterdir()):
    if path.suffix == ".c":
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    else:
        print(path.name)
"""
MAIN = """
#include <locale.h>
#include <stdio.h>
#include <string.h>

void predict(const float *x, float *y);

int main(int count, char **names)
{
    const float x[5] = {0.5f, -1.25f, 2.0f, 0.125f, -0.75f};
    float y[3];
    if (count > 1 && (!setlocale(LC_ALL, names[1]) || strcmp(localeconv()->decimal_point, ",")))
        return 1;
    predict(x, y);
    for (int i = 0; i < 3; i++)
        printf("%a\\n", y[i]);
    return 0;
}
"""
# (Hexadecimal numbers have the locale's comma, too.)
LOCALE = "de_DE.UTF-8"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables with which the locale is there."""
    if not shutil.which("localedef"):
        pytest.skip("no localedef")
    folder = tmp_path_factory.mktemp("locales")
    done = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / LOCALE],
        capture_output=True,
        check=False,
    )
    if done.returncode or not (folder / LOCALE).exists():
        pytest.skip("localedef has no definition of de_DE")
    return {**os.environ, "LOCPATH": str(folder)}


def written(folder, environment, *words):
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_output_and_files_are_the_same(tmp_path, environment):
    expected = written(tmp_path / "C", environment, "C", "after")
    assert "0.25" in expected
    assert "float64.c" in expected
    assert "float32-2-" in expected
    for when in ("before", "after"):
        assert written(tmp_path / when, environment, LOCALE, when) == expected
    everywhere = {**environment, "LC_ALL": LOCALE}
    assert written(tmp_path / "all", everywhere, LOCALE, "before") == expected


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler called cc")
def test_c_files_are_written_compiled_and_run_there(tmp_path, environment):
    written(tmp_path / "de", environment, LOCALE, "before")
    source, main, program = tmp_path / "de" / "float32.c", tmp_path / "main.c", tmp_path / "main"
    text = source.read_text().replace("float32_", "predict_").replace("float32(", "predict(")
    source.write_text(text)
    main.write_text(MAIN)
    run("env", f"LC_ALL={LOCALE}", f"LOCPATH={environment['LOCPATH']}",
        "cc", "-std=c99", "-Wall", "-Werror", source, main, "-o", program, "-lm")  # fmt: skip
    numbers = run("env", f"LOCPATH={environment['LOCPATH']}", program, LOCALE)
    assert numbers.replace(",", ".") == run(program)
    assert "," in numbers
