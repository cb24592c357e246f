"""Every number at which the code cuts its work has a name, and the tests straddle it."""

import ast
import re

import blocks
from toolchain import CSRC, needs_sources

pytestmark = needs_sources

TABLES = {**blocks.AXES, "nothing": blocks.OTHERS}


def test_every_constant_is_straddled_or_cuts_nothing():
    for file, name, _ in blocks.constants():
        axes = [axis for axis, table in TABLES.items() if blocks.is_listed(table, file, name)]
        assert axes, f"say in tests/blocks.py which axis {name} of {file} cuts"
        assert axes == ["nothing"] or "nothing" not in axes, (file, name)


def test_every_entry_is_a_constant():
    for table in TABLES.values():
        for file, listed in table.items():
            there = [
                each for each in blocks.constants() if blocks.is_listed({file: ["*"]}, *each[:2])
            ]
            assert there, f"{file} has no constants"
            unknown = {*listed} - {name for _, name, _ in there} - {"*"}
            assert not unknown, f"{file} has no {unknown}"


def test_the_parser_reads_the_code():
    """The values, against those that the code says in another way."""
    from pynn import _core

    assert len(blocks.constants()) > 100
    assert _core.STAGING_BYTES // 8 in blocks.block_sizes("bytes")
    for axis in blocks.AXES:
        assert all(size > 0 for size in blocks.block_sizes(axis, "float32"))
        assert blocks.block_sizes(axis)


# Literals that are no sizes of blocks: bits, alignments, formats, times, limits of what is allowed.
BARE = {
    "csrc/threads/barrier.cpp": {"100", "2000"},  # microseconds
    "csrc/threads/cpu_quota.cpp": {"256"},  # bytes of a file at a time
    "csrc/nn/convert.h": {"1023", "1024"},  # bits of float16
    "csrc/nn/loss.cpp": {"64"},  # an exponent of 2
    "csrc/nn/network.h": {"64"},  # a cache line's columns to each thread
    "csrc/nn/matrix.cpp": {"64"},  # cache lines, of which to prefetch
    "csrc/nn/report_timer.h": {"1000"},  # steps between two looks at the clock
    "csrc/kernels/dropout.h": {"64"},
    "csrc/kernels/gemm_plan.h": {"64"},  # alignment
    "csrc/kernels/gemm_micro_kernel.h": {"64"},  # lines to prefetch
}
SKIPPED = r"alignas\(\w+\)|\"[^\"\n]*\"|constexpr[^;]*;|#[^\n]*|\b0x\w+|\w*\.\w+"


def test_no_block_without_a_name():
    for path in sorted([*CSRC.rglob("*.h"), *CSRC.rglob("*.cpp")]):
        if path.name.startswith(("math.h", "gelu.h", "vec_", "isa.h", "cpu.cpp")):
            continue  # coefficients, intrinsics
        name = path.relative_to(blocks.ROOT).as_posix()
        literals = re.findall(r"(?<![\w.])\d{2,}(?![\w.])", re.sub(SKIPPED, "", blocks.code(path)))
        found = {n for n in literals if int(n) >= 64} - BARE.get(name, set())
        assert not found, (
            f"give {found} in {name} a name (constexpr) and an axis in tests/blocks.py"
        )


ALLOWED_IN_PYTHON = {
    "pynn/network.py": {64},  # bits of a key
    "pynn/progress.py": {60, 100, 1000, 3600, 3570, 86400},
    "pynn/runtime.py": {1024},
    "pynn/sklearn/_compat.py": {100},
    "pynn/sklearn/network.py": {100},  # units by default
    "pynn/summary.py": {1024},
}


def test_no_block_without_a_name_in_python():
    """Numbers in functions; defaults of arguments are no blocks."""
    for path in sorted((blocks.ROOT / "pynn").rglob("*.py")):
        name = path.relative_to(blocks.ROOT).as_posix()
        if name.startswith(("pynn/formats/", "pynn/files/", "pynn/plot/")):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in (n for line in function.body for n in ast.walk(line)):
                is_number = isinstance(node, ast.Constant) and type(node.value) is int
                if is_number and node.value >= 64:
                    assert node.value in ALLOWED_IN_PYTHON.get(name, ()), (name, node.lineno)
