"""Every test asserts something, itself or through a function of the tests that it calls."""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FILES = sorted(TESTS.rglob("*.py"))
# Calls that fail a test where something is not as expected.
CHECKS = {"raises", "warns", "fail"}
# Another library's checks, which raise by themselves.
OTHERS = {("test_estimator_checks.py", "test_check")}


def asserts(node):
    """True if `assert`, `pytest.raises` or a call such as `assert_array_equal` stands inside."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Raise) and "AssertionError" in ast.unparse(inner):
            return True
        if isinstance(inner, ast.Call):
            name = ast.unparse(inner.func).split(".")[-1]
            if name.startswith("assert") or name in CHECKS:
                return True
    return False


def names_in(node):
    """Functions that are called by name or handed over, arguments (fixtures), decorators."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names | {inner.arg for inner in ast.walk(node) if isinstance(inner, ast.arg)}


@cache
def functions_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.ClassDef
    return {node.name: node for node in ast.walk(tree) if isinstance(node, kinds)}


@cache
def checkers(path):
    """The functions that a test of this file can reach by their bare names and that assert."""
    found = {}
    for file in {path, *(path.parent / name for name in HELPERS), TESTS / "conftest.py"}:
        if file.is_file():
            found |= functions_of(file)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            for file in imported(node, path):
                found |= functions_of(file)
    checking = {name for name, node in found.items() if asserts(node)}
    while True:
        more = {name for name, node in found.items() if names_in(node) & checking}
        if more <= checking:
            return checking
        checking |= more


HELPERS = ("conftest.py",)


def imported(node, path):
    names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    for name in names:
        for folder in (TESTS, path.parent):
            file = folder / f"{(name or '').replace('.', '/')}.py"
            if file.is_file():
                yield file


def without_assertion(path):
    tests = {name: node for name, node in functions_of(path).items() if name.startswith("test")}
    tests = {name: node for name, node in tests.items() if isinstance(node, ast.FunctionDef)}
    return [
        name
        for name, node in tests.items()
        if (path.name, name) not in OTHERS
        and not asserts(node)
        and not names_in(node) & checkers(path)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_asserts_something(path):
    assert without_assertion(path) == []
