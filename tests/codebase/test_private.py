"""A name with a leading underscore is used in the module that defines it, and in no other.

A module may use the private names of the classes that it defines, of `self` and of `cls`. The
objects of another module, even of the same package, have an interface with plain names.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pynn"

# Private names of other libraries, by module, with the reason.
ALLOWED = {
    ("pynn/_interrupts.py", "sys._getframe"): "Python has no public name for it",
    ("pynn/formats/torch.py", "module._forward_hooks"): "torch does not tell whether there are any",
    ("pynn/formats/torch.py", "module._forward_pre_hooks"): "as above",
    ("pynn/sklearn/_compat.py", "estimator._validate_data"): "a function from scikit-learn 1.6 on",
}

needs_sources = pytest.mark.skipif(not PACKAGE.is_dir(), reason="the sources are not here")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.Module) -> set[str]:
    """The private names that the classes of a module define: methods, attributes, slots."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.FunctionDef):
                found.add(part.name)
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.add(part.id)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                if ast.unparse(part.value) == "self":
                    found.add(part.attr)
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.add(part.value)  # of __slots__
    return {name for name in found if is_private(name)}


def accesses(text: str) -> list[tuple[int, str]]:
    """Line and text of each access to a private name that the module does not define."""
    tree = ast.parse(text)
    own = defined(tree) | {"_fields", "_replace"}  # (named tuples' public names)
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    free = {"self", "cls", "super()", *classes}
    found = [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and node.attr not in own
        and ast.unparse(node.value) not in free
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynn."):
            found += [
                (node.lineno, f"from {node.module} import {alias.name}")
                for alias in node.names
                if is_private(alias.name)
                and not (
                    PACKAGE.parent / node.module.replace(".", "/") / f"{alias.name}.py"
                ).exists()
            ]
    return sorted(found)


@needs_sources
def test_private_names_stay_in_their_modules():
    found = {
        (path.relative_to(ROOT).as_posix(), text): line
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in accesses(path.read_text(encoding="utf-8"))
    }
    others = [
        f"{name}:{line}: {text}"
        for (name, text), line in found.items()
        if (name, text) not in ALLOWED
    ]
    assert others == []
    assert ALLOWED.keys() <= found.keys()  # nothing is allowed for no reason


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("net._core.train()\n", 1),
        ("def f(net):\n    net._block = 1\n", 1),
        ("from pynn.mlp import _is_pair\n", 1),
        ("getattr(x, 'y')._z\n", 1),
        ("class A:\n    def f(self, other):\n        return self._x, other._y\n", 1),
        ("class A:\n    def f(self, other):\n        self._x = other._x\n", 0),
        ("class A:\n    _x: int\ndef f(a):\n    return a._x\n", 0),
        ("class A:\n    def f(self):\n        return super()._g() + A._h\n", 0),
        ("x.__dict__\n", 0),
        ("from pynn.sklearn import _base\n_base.BaseMLP\n", 0),
    ],
)
def test_checker_sees_private_names(text, count):
    assert len(accesses(text)) == count
