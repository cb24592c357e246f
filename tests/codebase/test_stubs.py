"""Each method in the compiled core's stub exists; stubtest does not look at shared base classes."""

import ast
from pathlib import Path

from pynn import _core

STUB = Path(__file__).resolve().parents[2] / "pynn" / "_core.pyi"


def test_methods_of_the_stub_exist():
    stub = STUB if STUB.is_file() else Path(_core.__file__).with_name("_core.pyi")
    classes = {
        node.name: node
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    found = 0
    for name, node in classes.items():
        if not hasattr(_core, name):
            continue
        bases = [classes[base] for b in node.bases if (base := ast.unparse(b).split("[")[0])]
        for part in (part for each in (node, *bases) for part in each.body):
            if isinstance(part, ast.FunctionDef):
                assert hasattr(getattr(_core, name), part.name), (name, part.name)
                found += 1
    assert found > 30
