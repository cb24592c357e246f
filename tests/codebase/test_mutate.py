"""tools/mutate.py on toy files: which mistakes it makes, and the tests that see them."""

import ast
import importlib
import random
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
if not (TOOLS / "mutate.py").is_file():
    pytest.skip("tools/ is not here", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(TOOLS), *sys.path])
        yield


def module(name):
    return importlib.import_module(f"mutation.{name}")


PYTHON = '''"""A docstring with 1 < 2."""
from typing import Literal


def clip(x: Literal[1, 2], low: float = 0.5, *, name="3 < 4"):
    """Return x, at least low, or 7."""
    if x < low and x is not None:
        raise ValueError(f"{x + 1} is too small")
    rest = x[low:] + max(x, low)
    return rest
'''

CPP = """// a comment with 1 < 2
#include "a.h"
template <class T>
T last_of(const T* x, index_t count, index_t width) {
    static_assert(sizeof(T) < 16);
    const char* text = "3 < 4";
    T total = T(0);
    for (index_t i = 0; i < count; i += width) {
        prefetch(x + i, width);
        if (x[i] > total) total = std::max(x[i], total);
        total += x[i] * scale + rest;
    }
    return total;
}
"""


def changed(text, mistakes):
    """What stands instead of which text, by rule."""
    return {(m.rule.split()[0], text[m.start : m.end], m.new) for m in mistakes}


def test_mistakes_in_python():
    made = module("python_rules").mistakes("toy.py", PYTHON)
    seen = changed(PYTHON, made)
    assert {
        ("operator", "<", "<="),
        ("operator", "<", ">="),
        ("operator", "and", "or"),
        ("operator", "is not", "is"),
        ("operator", "+", "-"),
        ("negated", "x < low and x is not None", "not (x < low and x is not None)"),
        ("removed", 'raise ValueError(f"{x + 1} is too small")', "pass"),
        ("wrong", "0.5", "0.75"),
        ("twin", "max", "min"),
        ("bound", "low", "(low) + 1"),
        ("swapped", "x, low", "low, x"),
        ("dropped", "x[low:] + max(x, low)", "(x[low:])"),
        ("forgotten", "rest", "None"),
    } <= seen
    # Nothing in strings, docstrings, annotations and imports.
    places = [(m.start, m.end) for m in made]
    for text in ("1 < 2", "[1, 2]", "3 < 4", "at least low, or 7", "x + 1", "import"):
        begin = PYTHON.index(text)
        inside = [p for p in places if begin <= p[0] and p[1] <= begin + len(text)]
        assert inside == [], text
    for mistake in made:
        assert ast.dump(ast.parse(mistake.apply(PYTHON))) != ast.dump(ast.parse(PYTHON))
        first, last = mistake.lines
        assert first <= mistake.line <= last


def test_mistakes_in_cpp():
    made = module("cpp_rules").mistakes("toy.h", CPP)
    seen = changed(CPP, made)
    assert {
        ("operator", "<", "<="),
        ("operator", ">", ">="),
        ("operator", "+=", "="),
        ("operator", "*", "+"),
        ("negated", "x[i] > total", "!(x[i] > total)"),
        ("removed", "total += x[i] * scale + rest", ""),
        ("wrong", "0", "1"),
        ("twin", "max", "min"),
        ("index", "i", "i + 1"),
        ("wrong", "i", "0"),
        ("dropped", " + rest", ""),
    } <= seen
    for mistake in made:
        line = CPP.splitlines()[mistake.line - 1].strip()
        assert not line.startswith(("//", "#", "template", "static_assert", "const char"))
        assert not line.startswith("prefetch")


@pytest.mark.parametrize(("file", "text"), [("toy.py", PYTHON), ("toy.h", CPP)])
def test_a_sample_is_the_seeds(file, text):
    rules = module("python_rules" if file.endswith(".py") else "cpp_rules")
    sample = module("mistake").sample
    made = rules.mistakes(file, text)
    first, again, other = (sample(made, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(map(repr, first)) == sorted(map(repr, made))
    # A line with many possible mistakes is no likelier than another one.
    lines = {m.line for m in made}
    assert {m.line for m in first[: len(lines)]} == lines
    assert len({m.identifier(text) for m in made}) == len(made)


def test_what_compiles_to_the_same_is_told():
    compiled = module("python_rules").compiled
    assert compiled("a = 1 + 2\n", "a.py") == compiled("\n\na = 3  # a comment\n", "a.py")
    assert compiled("a = 1 + 2\n", "a.py") != compiled("a = 1 + 3\n", "a.py")
    assert compiled("def f(): return 1\n", "a.py") != compiled("def f(): return 2\n", "a.py")
    assert compiled("a = (\n", "a.py") is None


TESTS = """
import os, time, toy

def test_good(): assert toy.twice(0) == 0
def test_sees(): assert toy.twice(3) == 6
def test_never_reached(): os.abort()
"""


@pytest.fixture
def project(tmp_path):
    """A package of one function, its tests, and the map of their lines."""
    suite = module("suite")
    (tmp_path / "tests").mkdir()
    (tmp_path / "toy.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "tests" / "test_toy.py").write_text(TESTS)
    names = [f"tests/test_toy.py::test_{name}" for name in ("good", "sees")]
    file = (suite.digest(tmp_path / "toy.py"), {1: [], 2: [0, 1]})
    return tmp_path, suite, suite.Map(names, [0.1, 0.2], {"toy.py": file})


@pytest.mark.parametrize(
    ("body", "outcome", "by"),
    [
        ("return 2 * x", "passed", ""),
        ("return 2 + x", "failed", "tests/test_toy.py::test_good"),
        ("return x * x", "failed", "tests/test_toy.py::test_sees"),
        ("import os; os.abort()", "crash", "tests/test_toy.py::test_good"),
        ("while True: pass", "timeout", "tests/test_toy.py::test_good"),
        ("return (", "failed", "tests/test_toy.py"),
    ],
)
def test_the_test_that_sees_a_mistake_is_named(project, monkeypatch, body, outcome, by):
    tree, suite, known = project
    monkeypatch.setattr(suite.Map, "limit", lambda self, test: 3.0)
    (tree / "toy.py").write_text(f"def twice(x):\n    {body}\n")
    found = suite.run(tree, known.tests, known, tree / "log")
    assert (found.outcome, found.by) == (outcome, by)


def test_the_tests_of_a_line(project):
    tree, suite, known = project
    rules = module("python_rules")
    text = (tree / "toy.py").read_text()
    of_line_2 = rules.mistakes("toy.py", text)[0]
    assert of_line_2.lines == (2, 2)
    assert known.covering(of_line_2, tree) == {0, 1}
    first, *others = known.order(of_line_2, tree)
    assert (sorted(first), others) == (sorted(known.tests), [[], []])
    # A file that has changed since: all that run any of it.
    (tree / "toy.py").write_text("\n" + text)
    assert known.covering(of_line_2, tree) == {0, 1}
    assert known.within(known.tests, 0.15) == known.tests[:1]
    known.save(tree / "map.json")
    assert suite.Map.load(tree / "map.json") == known


def test_newer_tests_may_run_any_line(project):
    tree, _, known = project
    of_line_2 = module("python_rules").mistakes("toy.py", (tree / "toy.py").read_text())[0]
    known.update(tree)
    assert known.tests[2:] == ["tests/test_toy.py::test_never_reached"]
    assert known.covering(of_line_2, tree) == {0, 1, 2}
    with open(tree / "tests" / "test_toy.py", "a", encoding="utf-8") as file:
        file.write("def test_new(): assert toy.twice(1) == 2\n")
    (tree / "tests" / "test_other.py").write_text("def test_another(): pass\n")
    known.update(tree)
    known.update(tree)
    new = ["tests/test_other.py::test_another", "tests/test_toy.py::test_new"]
    assert sorted(known.tests[3:]) == new
    assert known.covering(of_line_2, tree) == {0, 1, 2, 3, 4}


def test_what_fails_once_only_is_not_seen(project):
    tree, suite, known = project
    # As on a busy machine: the first try fails.
    (tree / "toy.py").write_text(
        "calls = []\ndef twice(x):\n    calls.append(x)\n    return 2 * x + (len(calls) == 1)\n"
    )
    assert suite.run(tree, known.tests, known, tree / "log").outcome == "passed"
