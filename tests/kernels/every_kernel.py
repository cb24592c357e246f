"""A program for test_instruction_sets.py: runs every kernel on fixed input, writes the results to
the .npz file it is given, and prints the instruction set in use and whether it is fused."""

import sys

import numpy as np

import pynn
from pynn import _core
from pynn._sparse import CsrRows


def rows_of(x):
    """The dense `x` as a sparse matrix; SciPy is not needed."""
    starts = np.concatenate([[0], np.cumsum((x != 0).sum(axis=1))])
    return CsrRows(starts, np.nonzero(x)[1].copy(), x[x != 0], x.shape[1])


def results(dtype):
    rng = np.random.default_rng(0)

    def random(*shape):
        return rng.standard_normal(shape).astype(dtype)

    for m, k, n in [
        (1, 1, 1),
        (1, 10, 45),
        (7, 45, 10),
        (33, 46, 17),
        (64, 100, 70),
        (40, 1100, 33),
    ]:
        a, b = random(m, k), random(k, n)
        shape = f"{m}x{k}x{n}"
        yield f"matmul {shape}", pynn.matmul(a, b)
        yield f"matmul transposed {shape}", pynn.matmul(b.T, a.T)
        yield f"gemm {shape}", pynn.gemm(a, b, alpha=0.7, beta=0.3, out=random(m, n))
        for activation in ("identity", "relu", "sigmoid", "tanh"):
            y = pynn.linear(a, b / k, b[0], activation=activation)
            yield f"linear {activation} {shape}", y
        for i, gradient in enumerate(pynn.linear_backward(random(m, n), a, b)):
            yield f"linear_backward {i} {shape}", gradient
    for n in (1, 7, 33, 150):
        x = random(600, 1100)
        x[rng.random(x.shape) < 0.97] = 0
        x /= 8  # (large logits would show the sums' rounding more than their bound)
        net = pynn.MLP([1100, n, 3], dtype=dtype, seed=0)
        net.fit(rows_of(x), rng.integers(0, 3, 600), epochs=1, batch_size=600, shuffle=False)
        yield f"sparse {n}", net(rows_of(x))
    for n in (1, 7, 16, 45, 1000):
        x, target = 4 * random(20, n), random(20, n)
        for name in ("relu", "sigmoid", "tanh", "softmax"):
            y = getattr(pynn, name)(x)
            yield f"{name} {n}", y
            yield f"{name}_backward {n}", getattr(pynn, f"{name}_backward")(target, y)
        for name in ("leaky_relu", "elu", "silu", "gelu", "softplus", "log_softmax"):
            y = getattr(pynn, name)(x)
            yield f"{name} {n}", y
            given = x if name in ("silu", "gelu") else y
            yield f"{name}_backward {n}", getattr(pynn, f"{name}_backward")(target, given)
        yield f"gelu tanh {n}", pynn.gelu(x, approximate="tanh")
        yield f"gelu_backward tanh {n}", pynn.gelu_backward(target, x, approximate="tanh")
        labels = rng.integers(0, n, 20)
        for name in ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "mse"):
            given = pynn.softmax(target) if name.startswith("softmax") else abs(target)
            loss, gradient = getattr(pynn, name)(x, given)
            yield f"{name} {n}", np.float64(loss)
            yield f"{name} gradient {n}", gradient
            if name.endswith("entropy") and n > 1:
                loss, gradient = getattr(pynn, name)(x, labels)
                yield f"{name} of labels {n}", np.float64(loss)
                yield f"{name} gradient of labels {n}", gradient
    values, b, bias = random(600), random(3, 40, 33), random(1, 33)
    table = rng.integers(-50, 500, (3, 40)).astype(np.int32)
    for name, m, pieces in [
        ("rows", 29, [(values, b[i], table[i, :29], None) for i in range(3)]),
        ("columns", 100, [(values, b[i], None, table[i]) for i in range(3)]),
        ("in place", 14, [(values[:560].reshape(14, 40), b[i], None, None) for i in range(3)]),
    ]:
        y = np.empty((m, 33), dtype)
        _core.product_pieces(pieces, y, "bias", bias, factor=0.0)
        yield f"pieces {name}", y


if __name__ == "__main__":
    np.savez(
        sys.argv[1],
        **{
            f"{name} {np.dtype(dtype)}": value
            for dtype in (np.float32, np.float64)
            for name, value in results(dtype)
        },
    )
    config = pynn.show_config("dict")
    print(config["isa"], config["fused_multiply_add"])
