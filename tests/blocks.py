"""The block constants of the code, read from its text, and the sizes that straddle them.

Code that works a block at a time goes wrong at the blocks' edges: the last partial one, the first
row of the second one. So comparisons with an independent reference run at sizes one below, at, one
above, and several blocks and a ragged rest beyond every constant that cuts along an axis.
`tests/codebase/test_blocks.py` fails where the code has a constant that this file does not know.
"""

import ast
import functools
import re
from fnmatch import fnmatch

import numpy as np
from toolchain import CSRC

import pynn

ROOT = CSRC.parent

# What the constants of a file cut. Constants in bytes (by their names) become values of a dtype.
AXES = {
    # Rows of a mini-batch, of predictions, of a product, of a table.
    "rows": {
        "csrc/kernels/gemm_skinny.h": ["most_rows"],
        "csrc/kernels/gemm_streamed.h": ["group"],
        "csrc/kernels/gemm_transposed.h": ["group"],
        "csrc/kernels/kernel_table.h": ["KC"],
        "csrc/kernels/softmax_small_n.h": ["min_rows_to_transpose"],
        "csrc/kernels/vec.h": ["lanes"],
        "csrc/kernels/tuning.h": [
            *("min_rows_to_pack_b", "min_panels_rows", "min_panels_rows_of_few"),
        ],
        "csrc/kernels/tuning_*.h": ["MR", "streamed_rows_max"],
        "csrc/bindings/network.cpp": ["rows_a_thread"],
        "csrc/nn/staging.cpp": ["tile_rows", "group_shift"],
        "csrc/nn/layers/convolution.cpp": ["product_rows"],
        "csrc/nn/layers/dense.cpp": ["many"],
        "csrc/nn/layer.h": ["watched_rows"],
        "csrc/nn/network.cpp": [
            "many_rows",
            "min_block_rows",
            "max_block_rows",
            "worth_reading",
        ],
        "csrc/nn/sparse.cpp": ["enough"],
        "csrc/nn/trainer.cpp": ["block_rows"],
        "pynn/_table_input.py": ["ROWS"],
        "pynn/evaluation.py": ["EVALUATION_ROWS"],
        "pynn/plan.py": ["DEFAULT_BATCH_SIZE"],
        "pynn/sklearn/_stochastic.py": ["AUTO_BATCH"],
    },
    # Terms of a product's sums: a layer's inputs.
    "terms": {
        "csrc/kernels/gemm_pack.h": ["prefetch_distance"],
        "csrc/kernels/gemm_streamed.h": ["at_once"],
        "csrc/kernels/gemm_micro_kernel.h": ["prefetch_distance"],
        "csrc/kernels/kernel_table.h": ["KC"],
        "csrc/kernels/tuning.h": [
            *("min_k_to_pack", "min_k_to_prefetch_c", "min_panels_k", "panel_depth"),
            *("skinny_deep", "skinny_flat", "skinny_slab_bytes", "min_transposed_k"),
        ],
        "csrc/kernels/tuning_*.h": ["k_unroll", "max_sequence_k"],
    },
    # Columns of a product, units of a layer, values of a row.
    "columns": {
        "csrc/kernels/gemm_transposed.h": ["group", "widest"],
        "csrc/kernels/gemm_l1_panels.h": ["columns_few", "group"],
        "csrc/kernels/gemm_micro_kernel.h": ["group", "max_vectors"],
        "csrc/kernels/gemv.h": ["gemv_squares"],
        "csrc/kernels/rows.h": ["many"],
        "csrc/kernels/sparse.h": ["sparse_vectors"],
        "csrc/kernels/vec.h": ["lanes"],
        "csrc/kernels/tuning.h": [
            *("panel_columns", "max_outer_vectors", "min_streamed_columns"),
        ],
        "csrc/kernels/tuning_*.h": ["NR_VECTORS", "outer_vectors"],
        "csrc/nn/staging.cpp": ["most"],
        "csrc/nn/gemm.cpp": ["few"],
        "pynn/_table_input.py": ["COLUMNS"],
    },
    # Values of an array: of a layer's weights, of a gradient, of the operand of a function.
    "values": {
        "csrc/bindings/activations.cpp": ["elements_a_thread", "element_grain"],
        "csrc/bindings/without_gil.h": ["min_flops_to_release_gil"],
        "csrc/kernels/dropout.h": ["philox_words"],
        "csrc/kernels/gemv.h": ["room"],
        "csrc/kernels/kernel_table.h": ["l2_bytes"],
        "csrc/kernels/outer.h": ["room"],
        "csrc/kernels/sparse.h": ["sparse_lead"],
        "csrc/kernels/vec.h": ["prefetch_bytes"],
        "csrc/kernels/tuning.h": [
            *("conflict_bytes", "a_block_bytes", "skinny_block_bytes", "skinny_sums_bytes"),
            "streamed_sums_bytes",
        ],
        "csrc/kernels/tuning_*.h": ["b_block_bytes", "operand_bytes"],
        "csrc/nn/layers/convolution.cpp": ["penalty_piece"],
        "csrc/nn/layers/dense.cpp": ["piece", "far_bytes", "small", "block", "penalty_piece"],
        "csrc/nn/network.cpp": ["l2_block_bytes", "far_block_bytes"],
        "csrc/nn/sparse.cpp": ["few", "parts"],
        "csrc/nn/key_sort.h": ["digit", "few"],
        "csrc/nn/sparse.h": ["buckets"],
        "csrc/nn/gradient_clipping.cpp": ["clip_piece"],
        "csrc/nn/trainer.cpp": ["min_shared_values"],
        "csrc/nn/layers/embedding.cpp": ["zeros_size"],
        "pynn/sklearn/_plain.py": ["STEP"],
    },
    # Samples of an epoch, epochs of a fit, mini-batches.
    "samples": {
        "pynn/sources.py": ["DRAWN_AHEAD", "EPOCHS_AHEAD"],
    },
    # Memory that is too large for a test at every size: `test_staged_samples` and
    # `test_a_long_sum_of_a_large_product` go beyond them.
    "bytes": {
        "csrc/nn/staging.cpp": ["near"],
        "csrc/nn/staging.h": ["staging_bytes"],
        "csrc/nn/gemm.cpp": ["most_kept"],
        "pynn/staging.py": ["COPIED_BYTES"],
    },
    # Floating-point operations, from which on a further thread comes (`test_threads_by_work`).
    "operations": {
        "csrc/threads/team.h": ["min_flops_per_thread", "min_flops_per_training_thread"],
    },
}

# Constants that cut nothing.
OTHERS = {
    "csrc/bindings/arrays.h": ["max_axes"],  # NumPy's
    "csrc/bindings/without_gil.h": ["flops_per_element"],
    "csrc/dispatch/cpu.cpp": ["*"],  # bits of processors' answers
    "csrc/kernels/dropout.h": ["philox_rounds", "vectors"],
    "csrc/kernels/gelu.h": ["*"],  # coefficients
    "csrc/kernels/gemm_blocks.h": ["line"],  # addresses
    "csrc/kernels/gemm_skinny.h": ["line", "pair"],  # prefetching
    "csrc/kernels/gemm_plan.h": ["line"],  # addresses, strides
    "csrc/kernels/gemm_pieces.h": ["max_pieces_in_place"],  # test_pieces.py
    "csrc/kernels/tuning.h": ["tiles_between_prefetches"],  # prefetching
    "csrc/kernels/gemm_micro_kernel.h": ["vectors_per_line", "line"],  # prefetching
    "csrc/kernels/math.h": ["*"],  # coefficients
    "csrc/kernels/rows.h": ["chains"],  # of one sum; every size below 70 is tried
    "csrc/kernels/sparse.h": ["line"],  # prefetching
    "csrc/kernels/vec.h": [  # how numbers are stored
        *(
            "mantissa",
            "one",
            "bias",
            "round_magic",
            "denorm_min",
            "min_normal",
            "tiny",
            "max_finite",
        ),
    ],
    "csrc/kernels/vec_*.h": ["size"],  # of a square of registers: every size below 70 is tried
    "csrc/threads/barrier.cpp": ["spins_per_clock_read"],  # waiting
    "csrc/nn/staging.cpp": ["line", "page"],  # addresses; test_column_major.py
    "csrc/nn/layers/dense.cpp": ["line"],  # addresses
    "csrc/threads/fp_environment.h": ["*"],  # bits of a register
    "csrc/nn/loss.cpp": ["far"],  # test_float_range.py
    "csrc/nn/network.cpp": ["line"],  # alignment
    "csrc/nn/network.h": ["no_input"],  # an index
    "csrc/threads/thread_count_tuner.cpp": ["*"],  # times; test_thread_count_tuner.py
    "csrc/threads/core_placement.h": ["spins", "yields"],  # waiting
    "csrc/threads/thread_supply.*": ["*"],  # stacks; test_thread_shortage.py
    "csrc/nn/gradient_clipping.cpp": ["small"],  # a scale
    "csrc/nn/layers/layer_norm.cpp": ["lanes"],  # of a sum
    "csrc/nn/trainer.cpp": ["per_parameter", "flops_per_value"],  # estimates of work
    "pynn/architecture.py": ["MOST_PARAMETERS"],  # what is refused
    "pynn/summary.py": ["MOST_CHARACTERS"],  # of a cell
    "pynn/checkpoint.py": ["LONGEST_NAME"],  # what is refused
    "pynn/formats/*.py": ["*"],  # formats; test_onnx.py, test_torch.py
    "pynn/files/*.py": ["*"],  # formats; tests/files
    "pynn/sources.py": [  # test_defaults.py
        *("DEFAULT_EPOCHS", "DEFAULT_STEPS", "LEAST_STEPS", "LEAST_EPOCHS"),
    ],
    "pynn/many/result.py": ["*"],  # what is printed
    "pynn/engine.py": ["LINE", "NONE", "KEPT_LENGTHS"],  # test_any_length.py
    "pynn/plot/*.py": ["*"],  # what is drawn
    "pynn/progress.py": ["*"],  # what is printed
    "pynn/staging.py": ["LINE"],  # addresses
}

_NUMBER = r"(?:std::)?(?:index_t|int|unsigned|double|u?int(?:8|16|32|64)_t|uintptr_t|size_t)"
_CONSTANT = re.compile(rf"constexpr\s+{_NUMBER}\s+(\w+\s*=[^;{{]+(?:\{{\w+\}}[^;]*)?);")


def code(path):
    """A source file without its comments."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def _in_cpp(path):
    for match in _CONSTANT.finditer(code(path)):
        for part in re.split(r",\s*(?=\w+\s*=[^=])", match[1]):
            name, expression = part.split("=", 1)
            yield name.strip(), " ".join(expression.split())


def _in_python(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target = node.targets[0]
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=True)
        for each, value in pairs:
            expression = ast.unparse(value)
            if isinstance(each, ast.Name) and each.id.isupper() and "'" not in expression:
                yield each.id, expression


def _sources(folder, *endings):
    there = (path for ending in endings for path in folder.rglob(f"*{ending}"))
    return sorted(there)


@functools.cache
def constants():
    """Every named number of the code that holds a literal: (file, name, expression)."""
    found = [
        (path.relative_to(ROOT).as_posix(), name, expression)
        for paths, reader in (
            (_sources(CSRC, ".h", ".cpp"), _in_cpp),
            (_sources(ROOT / "pynn", ".py"), _in_python),
        )
        for path in paths
        for name, expression in reader(path)
    ]
    digits = re.compile(r"(?<![\w.])(?:0x\w|[2-9]|[1-9]\d|1\.?\d*e\d)")
    return [(f, n, e) for f, n, e in found if digits.search(e)]


def is_listed(table, file, name):
    return any(
        fnmatch(file, pattern) and (name in names or "*" in names)
        for pattern, names in table.items()
    )


def _value(expression, names, dtype):
    """What a constant's initializer is, for a dtype and the instruction set in use."""
    text = re.sub(r"(?:index_t|uint64_t)\{(\w+)\}", r"(\1)", expression)
    text = re.sub(r"static_cast<\w+>|<index_t>|<T>|std::", "", text)
    text = text.replace("sizeof(T)", str(np.dtype(dtype).itemsize)).replace("/", "//")
    text = re.sub(r"^(.+?) \? (.+?) : (.+)$", r"(\2) if (\1) else (\3)", text)
    text = text.replace("Vec::width", "width").replace("true", "True").replace("false", "False")
    return int(eval(text, {"__builtins__": {"min": min}}, names))


@functools.cache
def _shared(dtype):
    """Names that several files use, as they are for the instruction set in use."""
    isa = pynn.show_config("dict")["isa"]
    itemsize = np.dtype(dtype).itemsize
    width = {"avx512": 64, "avx2": 32}.get(isa, 16) // itemsize
    # (A tile of columns is a cache line; M: the rows of a streamed product.)
    names = {"width": width, "size": itemsize, "tile_columns": 64 // itemsize, "M": 2}
    folder = CSRC / "kernels"
    tuning = folder / "tuning.h", folder / f"tuning_{_header(isa)}.h"
    for path in (folder / "kernel_table.h", folder / "vec.h", *reversed(tuning)):
        pattern = r"^constexpr (?:bool|int|index_t) (\w+) = (.+?);"
        for name, value in re.findall(pattern, code(path), re.MULTILINE):
            names[name] = _value(value, names, dtype)
    names["nr"] = names["NR_VECTORS"] * width
    return names


def _header(isa):
    return isa if isa in ("avx512", "avx2", "neon") else "sse2"


def block_sizes(axis, dtype="float64"):
    """The block constants along an axis."""
    if not CSRC.is_dir():
        return []
    names = _shared(np.dtype(dtype))
    header = f"csrc/kernels/tuning_{_header(pynn.show_config('dict')['isa'])}.h"
    sizes = set()
    for file, name, expression in constants():
        if not is_listed(AXES[axis], file, name):
            continue
        if fnmatch(file, "csrc/kernels/tuning_*.h") and file != header:
            continue
        size = _value(expression, names, dtype)
        if "bytes" in name:
            size //= np.dtype(dtype).itemsize
        elif "vectors" in name and axis == "columns":
            size *= names["width"]
        elif "shift" in name or name == "digit":
            size = 2**size
        sizes.add(size)
    return sorted(sizes)


def straddling(axis, dtype="float64", *, low=1, high=10**9, several=True):
    """Sizes around each block constant of an axis, from `low` to `high`.

    One below, the block itself, one above; with `several` also three blocks and a ragged rest.
    """
    sizes = set()
    for n in block_sizes(axis, dtype):
        sizes |= {n - 1, n, n + 1}
        if several:
            sizes.add(3 * n + n // 3 + 1)
    return sorted(n for n in sizes if low <= n <= high)
