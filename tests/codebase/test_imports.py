"""The package's imports go one way: no module imports, by whatever detour, itself.

Imports inside functions and below `TYPE_CHECKING` count too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pynn"


def module_name(path: Path, package: Path) -> str:
    """The name under which a file of the package is imported."""
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, name: str, modules: set[str]) -> Iterator[str]:
    """The modules among `modules` that a file imports, wherever it does."""
    parents = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                part = f"{source}.{alias.name}"
                found = part if part in modules else source
                if found in modules:
                    yield found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Each module of the package, and what it imports of the package."""
    files = {module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    # (Compiled modules, known by their stubs, import nothing of it.)
    compiled = {module_name(path, package) for path in package.rglob("*.pyi")}
    modules = {*files, *compiled}
    graph = {name: {*imported(path, name, modules)} - {name} for name, path in files.items()}
    return graph | {name: set() for name in compiled - files.keys()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


needs_sources = pytest.mark.skipif(not PACKAGE.is_dir(), reason="the sources are not here")


@needs_sources
def test_imports_go_one_way():
    graph = import_graph(PACKAGE)
    assert {"pynn", "pynn.mlp", "pynn.files", "pynn.sklearn.classifier"} <= graph.keys()
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import pynn.b\n", [["pynn.a", "pynn.b"]]),
        ("from pynn import b\n", [["pynn.a", "pynn.b"]]),
        ("from pynn.b import x\n", [["pynn.a", "pynn.b"]]),
        ("from . import b\n", [["pynn.a", "pynn.b"]]),
        ("from .b import x\n", [["pynn.a", "pynn.b"]]),
        ("def f():\n    from pynn import b\n", [["pynn.a", "pynn.b"]]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pynn.b\n",
         [["pynn.a", "pynn.b"]]),
        ("from pynn.sub.c import x\n", [["pynn.a", "pynn.b", "pynn.sub", "pynn.sub.c"]]),
        ("from pynn import x\n", []),  # of the package itself, which is at the top of `b` only
        ("import numpy\n", []),
    ],
)  # fmt: skip
def test_checker_sees_a_circle(tmp_path, text, expected):
    package = tmp_path / "pynn"
    (package / "sub").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "a.py": text,
        "b.py": "from pynn.a import x\n",
        "sub/__init__.py": "from pynn.sub.c import x\n",
        "sub/c.py": "from .. import b\nfrom . import x\n",
    }
    for name, content in files.items():
        (package / name).write_text(content)
    graph = import_graph(package)
    assert [c for c in circles(graph) if "pynn.a" in c] == expected
