"""The core's own memory (what lies between the layers, packed matrices, gradients) ends at
protected pages, and is protected once freed. (NumPy's arrays: test_guard_pages.py.)

The address sanitizer watches that memory too, but GCC's sees no masked load or store of AVX's, by
which the kernels take the ends of rows."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sanitizers import not_sanitized
from toolchain import COMPILER, needs_compiler, run

import pynn

pytestmark = [
    needs_compiler,
    pytest.mark.skipif(
        platform.system() != "Linux" or platform.libc_ver()[0] != "glibc", reason="needs glibc"
    ),
    not_sanitized("the sanitizer's allocator is in the guard's place"),
]
PROGRAM = Path(__file__).with_name("own_memory.py")
# Replaces the C library's allocator, by way of LD_PRELOAD. The core requests memory
# aligned to cache lines. Here it gets memory that begins anywhere, so that it ends exactly at a
# page. (The kernels' loads and stores need no alignment.) No address is used twice.
GUARD = r"""
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
enum { PAGE = 4096 };
static const size_t space = (size_t)1 << 38;
static char *first;        // of the reserved addresses
static uint32_t *lengths;  // in pages, of the block that begins in each of their pages
static size_t used;
static long count;

static void *reserve(size_t n, int protection) {
    void *p = mmap(0, n, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? 0 : p;
}
__attribute__((constructor)) static void prepare(void) {
    lengths = reserve(space / PAGE * sizeof *lengths, PROT_READ | PROT_WRITE);
    first = lengths ? reserve(space, PROT_NONE) : 0;
}
long guarded(void) { return __atomic_load_n(&count, __ATOMIC_RELAXED); }
void *aligned_alloc(size_t alignment, size_t n) {
    if (!first || alignment != 64 || n == 0) return __libc_memalign(alignment, n);
    const size_t pages = (n + PAGE - 1) / PAGE;
    const size_t at = __atomic_fetch_add(&used, (pages + 1) * PAGE, __ATOMIC_RELAXED);
    if (at + (pages + 1) * PAGE > space) return 0;
    if (mprotect(first + at, pages * PAGE, PROT_READ | PROT_WRITE)) return 0;
    lengths[at / PAGE] = (uint32_t)pages;
    __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    return first + at + pages * PAGE - n;
}
void free(void *p) {
    const uintptr_t begin = (uintptr_t)first, address = (uintptr_t)p;
    if (!first || address < begin || address >= begin + space) {
        __libc_free(p);
        return;
    }
    const size_t page = (address - begin) / PAGE;
    mmap(first + page * PAGE, lengths[page] * (size_t)PAGE, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    source, library = folder / "guard.c", folder / "guard.so"
    source.write_text(GUARD)
    run(*COMPILER, "-x", "c", "-shared", "-fPIC", "-O1", source, "-o", library)
    return library


def guarded(library, isa, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", PROGRAM, *arguments],
        cwd=PROGRAM.parent,
        env={**os.environ, "PYNN_ISA": isa, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("isa", pynn.show_config("dict")["isas_usable"])
def test_nothing_is_read_or_written_beyond_it(guard, isa):
    done = guarded(guard, isa, "work")
    assert done.returncode == 0, done.stderr
    used, blocks = done.stdout.split()
    assert used == isa
    assert int(blocks) > 1000, "the core does not take its memory from the guard"


@pytest.mark.parametrize("what", ["beyond", "freed"])
def test_the_guard_sees_what_it_should(guard, what):
    done = guarded(guard, "", what)
    assert done.returncode == -signal.SIGSEGV
    assert "in " + what in done.stderr
