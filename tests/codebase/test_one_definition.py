"""The one-definition rule, read from objects: what is compiled per instruction set stays apart.

An inline function with external linkage that is emitted in a file compiled with -mavx512f is a
weak symbol, and the linker may keep that copy for the whole module; on a processor without AVX-512
the program then dies of an illegal instruction. So the objects compiled per instruction set may
export one constant table and nothing else, and the rest may not use what only some processors have.
"""

import os
import platform
import re
import shutil
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sanitizers import not_sanitized
from toolchain import (
    COMPILER,
    CSRC,
    PLAIN_FLAGS,
    cmakelists,
    instruction_sets,
    needs_compiler,
    needs_sources,
    run,
)

# What a compiler calls on its own, and nothing that computes, allocates, throws or locks.
MAY_NEED = {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}

pytestmark = [
    not_sanitized("nothing of the built core runs in it"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads ELF objects"),
    pytest.mark.skipif(
        platform.machine() not in {"x86_64", "AMD64"}, reason="reads x86-64 instructions"
    ),
    needs_compiler,
    pytest.mark.skipif(
        not (shutil.which("nm") and shutil.which("objdump")), reason="no binutils (nm, objdump)"
    ),
]


def compile_object(source: Path, target: Path, flags: list[str]) -> Path:
    run(*COMPILER, *PLAIN_FLAGS, "-fPIC", *flags, "-c", source, "-o", target)
    return target


def symbols(path: Path) -> list[tuple[str, str]]:
    """(type letter, demangled name) of each of the object's symbols."""
    lines = run("nm", "-C", path).splitlines()
    found = [re.match(r"[0-9a-f]*\s+([A-Za-z?-])\s+(.+)", line) for line in lines]
    assert all(found), lines
    return [(m[1], m[2]) for m in found if m]


def check_no_weak_symbols(path: Path) -> None:
    # W, V: weak; u: unique across the whole process, which is as bad.
    assert [name for kind, name in symbols(path) if kind in "WwVvu"] == []


def check_exports_only(path: Path, name: str) -> None:
    assert [s for kind, s in symbols(path) if kind.isupper() and kind not in "UWV"] == [name]


def check_needs_little(path: Path) -> None:
    assert {name for kind, name in symbols(path) if kind == "U"} - MAY_NEED == set()


def check_no_initializers(path: Path) -> None:
    sections = re.findall(r"^\s*\d+\s+(\S+)", run("objdump", "-h", path), re.MULTILINE)
    assert sections
    assert [s for s in sections if s.startswith((".init_array", ".ctors", ".preinit_array"))] == []


# AVX and later: a v-mnemonic on vector registers, mask registers, vzeroupper, and the VEX-encoded
# integer instructions of BMI.
BEYOND_BASELINE = re.compile(
    r"^v\w+ .*%[xyz]mm|^\w+ .*%k[0-7]|^vzero|"
    r"^(andn|bextr|bls\w+|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lq]? "
)


def check_baseline_only(path: Path) -> None:
    listing = run("objdump", "-d", "--no-show-raw-insn", path)
    instructions = [
        " ".join(m.split()) for m in re.findall(r"^\s+[0-9a-f]+:\t(.*)$", listing, re.M)
    ]
    assert [i for i in instructions if BEYOND_BASELINE.search(i)] == []


# ---------------------------------------------------------------- the project's own objects


@pytest.fixture(scope="module")
def objects(tmp_path_factory, kernel_objects):
    """Futures of the objects: the kernels by instruction set, the rest by path below csrc/."""
    folder = tmp_path_factory.mktemp("objects")
    # What CMakeLists.txt generates from its table for dispatch/.
    rows = "".join(f"PYNN_ROW({isa})\n" for isa in instruction_sets())
    (folder / "instruction_sets.inc").write_text(rows, encoding="utf-8")
    jobs: dict[str, Future[Path]] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for isa in instruction_sets():
            jobs[isa] = kernel_objects.ask(isa)
        for name in SHARED_SOURCES:
            target = folder / (name.replace("/", "_") + ".o")
            jobs[name] = pool.submit(
                compile_object, CSRC / name, target, [f"-I{folder}", "-fopenmp"]
            )
        yield jobs


ISAS = sorted(instruction_sets())
SHARED_SOURCES = sorted(
    p.relative_to(CSRC).as_posix()
    for layer in ("dispatch", "threads", "nn")
    for p in (CSRC / layer).rglob("*.cpp")
)


@needs_sources
def test_table_of_instruction_sets_was_found():
    assert {"baseline", "avx2", "avx512"} <= set(ISAS)


@needs_sources
@pytest.mark.parametrize("isa", ISAS)
def test_kernels_have_no_weak_symbols(objects, isa):
    check_no_weak_symbols(objects[isa].result())


@needs_sources
@pytest.mark.parametrize("isa", ISAS)
def test_kernels_export_their_table_alone(objects, isa):
    check_exports_only(objects[isa].result(), f"pynn::kernel_table_{isa}")


@needs_sources
@pytest.mark.parametrize("isa", ISAS)
def test_kernels_call_nothing_from_outside(objects, isa):
    check_needs_little(objects[isa].result())


@needs_sources
@pytest.mark.parametrize("isa", ISAS)
def test_kernels_have_no_dynamic_initializers(objects, isa):
    check_no_initializers(objects[isa].result())


@needs_sources
@pytest.mark.parametrize("name", ["baseline", *SHARED_SOURCES])
def test_runs_on_every_processor(objects, name):
    check_baseline_only(objects[name].result())


@needs_sources
def test_build_flags_keep_the_arithmetic_contract():
    text = cmakelists()
    banned = (
        r"-march=native|-mtune=native|-ffast-math|-Ofast|-flto"
        r"|INTERPROCEDURAL_OPTIMIZATION\s+(ON|TRUE|1)"
    )
    assert re.search(banned, text) is None
    assert "-ffp-contract=off" in text


# ---------------------------------------------------------------- the checks see what they should

GOOD = """
#include <immintrin.h>
namespace pynn {
struct Table { float (*sum)(const float*); };
namespace { float sum(const float* x) { return _mm_cvtss_f32(_mm_loadu_ps(x)); } }
extern const Table kernel_table_toy;
const Table kernel_table_toy = {sum};
}
"""


@pytest.fixture
def toy(tmp_path):
    def build(extra: str = "", *flags: str) -> Path:
        source = tmp_path / "toy.cpp"
        source.write_text(GOOD + extra, encoding="utf-8")
        return compile_object(source, tmp_path / "toy.o", list(flags))

    return build


def check_exports_toy_only(path: Path) -> None:
    check_exports_only(path, "pynn::kernel_table_toy")


CHECKS = [
    check_no_weak_symbols,
    check_exports_toy_only,
    check_needs_little,
    check_no_initializers,
    check_baseline_only,
]


@pytest.mark.parametrize("check", CHECKS)
def test_check_passes_a_good_object(toy, check):
    check(toy())


KEEP = " __attribute__((used)) "


@pytest.mark.parametrize(
    ("check", "extra", "flags"),
    [
        (check_no_weak_symbols, f"{KEEP} inline int twice(int x) {{ return 2 * x; }}", ()),
        (check_no_weak_symbols, "inline int counter = 1; int* where() { return &counter; }", ()),
        (
            check_no_weak_symbols,
            "template <class T> T twice(T x) { return x + x; } template int twice<int>(int);",
            (),
        ),
        (check_no_weak_symbols, "extern int m __attribute__((weak)); int* f() { return &m; }", ()),
        (check_exports_toy_only, "int stray(int x) { return x; }", ()),
        (check_exports_toy_only, "int stray_variable;", ()),
        (
            check_needs_little,
            'extern "C" double exp(double); double e(double x) { return exp(x); }',
            (),
        ),
        (check_needs_little, "int* make() { return new int; }", ()),
        (
            check_needs_little,
            "int seed(); int once() { static int value = seed(); return value; }",
            (),
        ),
        (check_no_initializers, f"int seed(); {KEEP} static int value = seed();", ()),
        (check_baseline_only, "", ("-mavx",)),
        (
            check_baseline_only,
            "auto f(__m512i a, __mmask16 m) { return _mm512_mask_add_epi32(a, m, a, a); }",
            ("-mavx512f",),
        ),
        (check_baseline_only, "unsigned f(unsigned x, int n) { return x << n; }", ("-mbmi2",)),
    ],
)
def test_check_sees_a_bad_object(toy, check, extra, flags):
    path = toy(extra, *flags)
    with pytest.raises(AssertionError):
        check(path)
