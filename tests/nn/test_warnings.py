"""Every warning of pynn's names the user's line."""

import ast
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
for each in caught:
    print(each.category.__name__, each.lineno, each.filename)
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


@pytest.mark.parametrize("name", LINES)
def test_warnings_name_the_users_line(name, tmp_path):
    category, lines = LINES[name]
    if "sklearn" in lines:
        pytest.importorskip("sklearn")
    program = PROGRAM.format(textwrap.indent(textwrap.dedent(lines), "    "))
    file = tmp_path / "program.py"
    file.write_text(program)
    command = [sys.executable, str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    line = next(i for i, text in enumerate(program.splitlines(), 1) if "# here" in text)
    caught = done.stdout.splitlines()
    assert caught, "there was no warning"
    assert set(caught[:-1] if name.startswith("mini") else caught) == {f"{category} {line} {file}"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_one_function_warns(source):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("warn", "warn_explicit")
    ]
    assert len(calls) == (source.name == "_interrupts.py")
