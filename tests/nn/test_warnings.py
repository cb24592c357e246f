"""Every warning of pynn's names the user's line."""

import ast
import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pynn

SOURCES = sorted(Path(pynn.__file__).parent.rglob("*.py"))
# What is run, as a file of the user's; the line that each warning is to name is marked.
PROGRAM = """
import warnings
import numpy as np
import pynn

X, y = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2
def nothing(history): return float("nan")
def stop(): return pynn.EarlyStopping(nothing, mode="min")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
{}
found = [(each.category.__name__, each.lineno, each.filename) for each in caught]
"""
# Runs each of the files that it is given, and prints what they found.
RUNNER = """
import json, runpy, sys
print(json.dumps([runpy.run_path(path)["found"] for path in sys.argv[1:]]))
"""
LINES = {
    "EarlyStopping": ("RuntimeWarning", """
        pynn.MLP([4, 2]).fit(  # here
            X, y, epochs=2, callbacks=stop())
    """),
    "EarlyStopping, called by a function": ("RuntimeWarning", """
        def fit():
            pynn.MLP([4, 2]).fit(X, y, epochs=2, callbacks=stop())  # here
        fit()
    """),
    "a subclass of EarlyStopping": ("RuntimeWarning", """
        class Own(pynn.EarlyStopping):
            def on_train_end(self, net, history):
                super().on_train_end(net, history)  # here
        pynn.MLP([4, 2]).fit(X, y, epochs=2, callbacks=Own(nothing, mode="min"))
    """),
    "EarlyStopping in the threads of fit_many": ("RuntimeWarning", """
        pynn.set_num_threads(2)
        pynn.fit_many(  # here
            [pynn.MLP([4, 2]), pynn.MLP([4, 3, 2])], X, y, epochs=2, callbacks=stop())
    """),
    "failed models of fit_many": ("RuntimeWarning", """
        def fail(net, history): raise ValueError("on purpose")
        pynn.fit_many([pynn.MLP([4, 2])], X, y, epochs=2, callbacks=fail)  # here
    """),
    "epochs of an estimator": ("ConvergenceWarning", """
        from pynn.sklearn import MLPClassifier
        MLPClassifier(max_iter=2).fit(X, y)  # here
    """),
    "mini-batches of an estimator": ("UserWarning", """
        from pynn.sklearn import MLPRegressor
        MLPRegressor(max_iter=1, batch_size=99, tol=1e9, n_iter_no_change=1).fit(X, y)  # here
    """),
    "a search over an estimator": ("ConvergenceWarning", """
        from sklearn.model_selection import cross_val_score
        from pynn.sklearn import MLPClassifier
        cross_val_score(MLPClassifier(max_iter=2), X, y, cv=2)  # here
    """),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By name: the program, its file, and what it caught; all of one process."""
    folder, programs = tmp_path_factory.mktemp("warnings"), {}
    has_sklearn = importlib.util.find_spec("sklearn") is not None
    for i, (name, (_, lines)) in enumerate(LINES.items()):
        if has_sklearn or "sklearn" not in lines:
            text = PROGRAM.format(textwrap.indent(textwrap.dedent(lines), "    "))
            programs[name] = text, folder / f"program_{i}.py"
            programs[name][1].write_text(text)
    files = [str(file) for _, file in programs.values()]
    command = [sys.executable, "-c", RUNNER, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    caught = json.loads(done.stdout)
    return {name: (*programs[name], each) for name, each in zip(programs, caught, strict=True)}


@pytest.mark.parametrize("name", LINES)
def test_warnings_name_the_users_line(name, found):
    category, lines = LINES[name]
    if "sklearn" in lines:
        pytest.importorskip("sklearn")
    program, file, caught = found[name]
    line = next(i for i, text in enumerate(program.splitlines(), 1) if "# here" in text)
    assert caught, "there was no warning"
    caught = {tuple(each) for each in (caught[:-1] if name.startswith("mini") else caught)}
    assert caught == {(category, line, str(file))}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_one_function_warns(source):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("warn", "warn_explicit")
    ]
    assert len(calls) == (source.name == "_interrupts.py")
