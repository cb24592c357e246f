"""The layers of csrc/ include each other one way: bindings → nn → threads, dispatch → kernels."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
SUFFIXES = {".cpp", ".cc", ".h", ".hpp", ".inl", ".inc"}

# The only header of kernels/ that other layers see: plain function pointers, no code.
TABLE = "kernels/kernel_table.h"

# Written by CMakeLists.txt from its table of instruction sets, and the layer that reads it.
GENERATED = {"instruction_sets.inc": "dispatch"}

# Which project headers a layer may include: whole layers, or single headers.
MAY_INCLUDE = {
    "kernels": {"kernels"},
    "dispatch": {"dispatch", TABLE},
    "threads": {"threads", TABLE},
    "nn": {"nn", "threads", "dispatch", TABLE},
    "bindings": {"bindings", "nn", "threads", "dispatch", TABLE},
}

# A template of the standard library that is instantiated in a file compiled with -mavx512f is a
# weak symbol that the linker may use everywhere (see test_one_definition.py), and libm's results
# differ between systems. So kernels use types, constants, memcpy and intrinsics only.
KERNEL_SYSTEM_HEADERS = {
    "arm_neon.h",
    "emmintrin.h",
    "float.h",
    "immintrin.h",
    "limits.h",
    "stddef.h",
    "stdint.h",
    "string.h",
}

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
OPENMP_PRAGMA = re.compile(r'^[ \t]*#[ \t]*pragma[ \t]+omp\b|_Pragma\(\s*"omp\b', re.MULTILINE)
PYTHON_HEADER = re.compile(r"^(Python\.h|pybind11/|numpy/)")


def violations(csrc: Path) -> Iterator[str]:
    """Every breach of the rules below the folder `csrc`, as a sentence."""
    for path in sorted(p for p in csrc.rglob("*") if p.suffix in SUFFIXES):
        name = path.relative_to(csrc).as_posix()
        layer = name.split("/")[0]
        if layer not in MAY_INCLUDE:
            yield f"{name} lies in no layer ({', '.join(MAY_INCLUDE)})"
            continue
        text = COMMENT.sub(" ", path.read_text(encoding="utf-8"))
        if layer != "threads" and OPENMP_PRAGMA.search(text):
            yield f"{name} has an OpenMP pragma: threads belong to threads/"
        for bracket, header in INCLUDE.findall(text):
            if header == "omp.h":
                if layer != "threads":
                    yield f"{name} includes omp.h: threads belong to threads/"
            elif PYTHON_HEADER.match(header):
                if layer != "bindings":
                    yield f"{name} includes {header}: only bindings/ sees Python"
            elif bracket == '"':
                yield from project_include(csrc, path, header)
            elif layer == "kernels" and header not in KERNEL_SYSTEM_HEADERS:
                yield f"{name} includes <{header}>, which kernels must not"


def project_include(csrc: Path, path: Path, header: str) -> Iterator[str]:
    """The breach, if any, of `path` including the project's header `header`."""
    name = path.relative_to(csrc).as_posix()
    if GENERATED.get(header) == name.split("/")[0]:
        return
    found = [p.resolve() for p in (path.parent / header, csrc / header) if p.is_file()]
    if not found or not found[0].is_relative_to(csrc.resolve()):
        yield f'{name} includes "{header}", which is not a file under csrc/'
        return
    target = found[0].relative_to(csrc.resolve()).as_posix()
    if not MAY_INCLUDE[name.split("/")[0]] & {target, target.split("/")[0]}:
        yield f"{name} includes {target}: against bindings → nn → threads, dispatch → kernels"


@pytest.mark.skipif(not CSRC.is_dir(), reason="the C++ sources are not here")
def test_sources_keep_the_rules():
    assert len([p for p in CSRC.rglob("*") if p.suffix in SUFFIXES]) > len(MAY_INCLUDE)
    assert list(violations(CSRC)) == []


def make_tree(root: Path, extra: dict[str, str]) -> Path:
    """Write a small source tree that keeps the rules, then `extra` over it."""
    files = {
        "kernels/kernel_table.h": "#include <stdint.h>\n",
        "kernels/vec.h": "#include <immintrin.h>\n",
        "kernels/gemm.h": '#include "kernels/vec.h"\n#include "vec.h"\n',
        "dispatch/dispatch.h": '#include "kernels/kernel_table.h"\n',
        "nn/layer.h": '#include <vector>\n#include "dispatch/dispatch.h"\n',
        "threads/team.cpp": "#include <omp.h>\n#pragma omp parallel\n",
        "nn/layers/dense.cpp": '#include "nn/layer.h"\n#include "threads/team.h"\n',
        "threads/team.h": '#include "kernels/kernel_table.h"\n',
        "bindings/module.cpp": (
            "#include <pybind11/pybind11.h>\n#include <numpy/arrayobject.h>\n"
            '#include "kernels/kernel_table.h"\n#include "nn/layer.h"\n'
        ),
    }
    for name, text in (files | extra).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nn/layer.h", '// #include "bindings/x.h"\n'),
        ("dispatch/dispatch.h", '#include "instruction_sets.inc"\n'),
        ("kernels/vec.h", "/* #include <vector>\n#include <Python.h>\n#pragma omp simd */\n"),
    ],
)
def test_checker_passes_what_is_allowed(tmp_path, name, text):
    assert list(violations(make_tree(tmp_path, {name: text}))) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("kernels/vec.h", '#include "nn/layer.h"\n', "nn/layer.h: against"),
        ("kernels/vec.h", '#include "../dispatch/dispatch.h"\n', "dispatch.h: against"),
        ("kernels/vec.h", "#include <algorithm>\n", "<algorithm>"),
        ("kernels/vec.h", "  #  include <math.h>\n", "<math.h>"),
        ("kernels/vec.h", "#pragma omp simd\n", "OpenMP"),
        ("dispatch/dispatch.h", '#include "kernels/gemm.h"\n', "gemm.h: against"),
        ("dispatch/dispatch.h", '#include "nn/layer.h"\n', "layer.h: against"),
        ("dispatch/dispatch.h", "#include <omp.h>\n", "omp.h"),
        ("nn/layer.h", '#include "kernels/vec.h"\n', "vec.h: against"),
        ("nn/layer.h", "#include <omp.h>\n", "omp.h"),
        ("nn/layers/dense.cpp", "#pragma omp parallel\n", "OpenMP"),
        ("threads/team.h", '#include "nn/layer.h"\n', "nn/layer.h: against"),
        ("threads/team.h", '#include "dispatch/dispatch.h"\n', "dispatch.h: against"),
        ("dispatch/dispatch.h", '#include "threads/team.h"\n', "team.h: against"),
        ("nn/layer.h", "#include <Python.h>\n", "only bindings"),
        ("nn/layer.h", '#include "pybind11/numpy.h"\n', "only bindings"),
        ("bindings/module.cpp", '#include "kernels/gemm.h"\n', "gemm.h: against"),
        ("bindings/module.cpp", '_Pragma("omp parallel")\n', "OpenMP"),
        ("nn/layer.h", '#include "nn/gone.h"\n', "not a file"),
        ("nn/layer.h", '#include "instruction_sets.inc"\n', "not a file"),
        ("util/log.h", "\n", "no layer"),
    ],
)
def test_checker_sees_a_breach(tmp_path, name, text, complaint):
    found = list(violations(make_tree(tmp_path, {name: text})))
    assert len(found) == 1
    assert name in found[0]
    assert complaint in found[0]
