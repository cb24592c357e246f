"""Measure the largest error of pynn's elementwise functions, in units in the last place.

float32 is measured at every one of its 2**32 bit patterns, against NumPy and SciPy in float64,
whose own error is some 2**-29 of a float32 ULP. float64 is measured on a dense random sample:
long double picks the worst candidates, which mpmath judges. Special values (NaN, infinities,
signed zeros) have to be exact to the sign; a NaN made of a number counts as wrong too.

The error is |got - exact| over the spacing of the type at the exact value, so a correctly rounded
result is off by at most 0.5; an infinity for a number counts as 2**128 (2**1024). The distance is
the number of steps in the type from the correctly rounded value.

    python tools/ulp.py                                      # all of float32: 10 to 20 minutes
    python tools/ulp.py --stride 4099                        # a glance
    python tools/ulp.py --functions tanh silu --processes 4

Needs numpy, scipy, mpmath and tqdm.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import mpmath
import numpy as np
from scipy import special
from tqdm import tqdm

import pynn
from pynn.ops._builtin import builtin

Array = np.ndarray[Any, Any]
CHUNK = 2**22  # bit patterns a task
BLOCK = 2**15  # values at a time, which stay in the cache
MPMATH_POINTS = 4000


@builtin
def exp(x: Array) -> Array:
    raise TypeError("x is not a plain array")


def softplus_by_numpy(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def sigmoid_by_numpy(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, e.dtype.type(1)) / (1 + e)


def elu_by_numpy(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def gelu_tanh(x: Array) -> Array:
    return np.asarray(pynn.gelu(x, approximate="tanh"))


def tanh_argument(x: Any) -> Any:
    """Twice the tanh's, in mpmath or NumPy."""
    c = mpmath.sqrt(8 / mpmath.pi)
    if isinstance(x, np.ndarray):
        c = np.longdouble(mpmath.nstr(c, 30)).astype(x.dtype)
        return c * (x + x.dtype.type(np.longdouble("0.044715")) * x**3)
    return c * (x + mpmath.mpf("0.044715") * x**3)


@dataclass(frozen=True)
class Function:
    ours: Callable[[Array], Array]
    double: Callable[[Array], Array]  # of float64, for float32
    # Of longdouble, to choose what mpmath judges. (None: chosen at random.)
    long_double: Callable[[Array], Array] | None
    exact: Callable[[Any], Any]  # by mpmath, which is accurate to its 60 digits in each of these
    # The values at inf, -inf, 0 and -0.
    special: tuple[float, float, float, float]


FUNCTIONS = {
    "exp": Function(exp, np.exp, np.exp, mpmath.exp, (np.inf, 0.0, 1.0, 1.0)),
    "sigmoid": Function(
        pynn.sigmoid,
        special.expit,
        sigmoid_by_numpy,
        lambda x: 1 / (1 + mpmath.exp(-x)),
        (1.0, 0.0, 0.5, 0.5),
    ),
    "tanh": Function(pynn.tanh, np.tanh, np.tanh, mpmath.tanh, (1.0, -1.0, 0.0, -0.0)),
    "softplus": Function(
        pynn.softplus,
        softplus_by_numpy,
        softplus_by_numpy,
        lambda x: max(x, 0) + mpmath.log1p(mpmath.exp(-abs(x))),
        (np.inf, 0.0, np.log(2.0), np.log(2.0)),
    ),
    "silu": Function(
        pynn.silu,
        lambda x: x * special.expit(x),
        lambda x: x * sigmoid_by_numpy(x),
        lambda x: x / (1 + mpmath.exp(-x)),
        (np.inf, -0.0, 0.0, -0.0),
    ),
    "gelu": Function(
        pynn.gelu,
        lambda x: x * special.ndtr(x),
        None,
        lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
        (np.inf, -0.0, 0.0, -0.0),
    ),
    "gelu_tanh": Function(
        gelu_tanh,
        lambda x: x * special.expit(tanh_argument(x)),
        lambda x: x * sigmoid_by_numpy(tanh_argument(x)),
        lambda x: x / (1 + mpmath.exp(-tanh_argument(x))),
        (np.inf, -0.0, 0.0, -0.0),
    ),
    "elu": Function(
        pynn.elu,
        elu_by_numpy,
        elu_by_numpy,
        lambda x: x if x > 0 else mpmath.expm1(x),
        (np.inf, -1.0, 0.0, -0.0),
    ),
}


class Result(NamedTuple):
    name: str
    inputs: int
    error: float
    worst: float
    distance: int
    wrong: int


def distances(got: Array, rounded: Array) -> Array:
    """How many steps in their type numbers are apart (-0 and 0: none; NaN from anything: none)."""
    integers = np.dtype(f"i{got.dtype.itemsize}")
    a, b = (
        np.where(x.view(integers) < 0, np.iinfo(integers).min - x.view(integers), x.view(integers))
        for x in (got, rounded)
    )
    steps = (np.maximum(a, b) - np.minimum(a, b)).view(f"u{got.dtype.itemsize}")
    steps[np.isnan(got) | np.isnan(rounded)] = 0
    return steps


# ---------------------------------------------------------------- float32


def spacing_of_float32(exact: Array) -> Array:
    """Of float32 at each finite float64, as float64: the power of two below it over 2**23."""
    exponent = exact.view(np.int64) & 0x7FF0_0000_0000_0000
    lowest, highest = (int(np.float64(2.0**e).view(np.int64)) for e in (-126, 127))
    np.clip(exponent, lowest, highest, out=exponent)
    exponent -= 23 << 52
    return exponent.view(np.float64)


def wrong_specials(function: Function, x: Array, got: Array) -> int:
    """How many special values are wrong, -0 for 0 included."""
    wrong = np.count_nonzero(np.isnan(x) != np.isnan(got))
    is_special = np.isinf(x) | (x == 0)
    if is_special.any():
        values = np.array(function.special, x.dtype)
        given = np.array([np.inf, -np.inf, 0.0, -0.0], x.dtype)
        for value, point in zip(values, given, strict=True):
            here = got[is_special & (x == point) & (np.signbit(x) == np.signbit(point))]
            wrong += np.count_nonzero((here != value) | (np.signbit(here) != np.signbit(value)))
    return int(wrong)


def measure_float32(task: tuple[str, int, int, int]) -> Result:
    """One function at the bit patterns `start`, `start` + `stride`, ... below `stop`."""
    name, start, stop, stride = task
    function = FUNCTIONS[name]
    inputs, error, worst, distance, wrong = 0, 0.0, 0.0, 0, 0
    limit = 2.0**128
    with np.errstate(all="ignore"):
        for first in range(start, stop, BLOCK * stride):
            last = min(first + BLOCK * stride, stop)
            x = np.arange(first, last, stride, dtype=np.uint32).view(np.float32)
            got = function.ours(x)
            exact = function.double(x.astype(np.float64))
            np.clip(exact, -limit, limit, out=exact)
            errors = np.clip(got.astype(np.float64), -limit, limit)
            errors -= exact
            np.abs(errors, out=errors)
            errors /= spacing_of_float32(exact)
            largest = np.fmax.reduce(errors)  # (fmax ignores NaN)
            if largest > error:
                error, worst = float(largest), float(x[np.nanargmax(errors)])
            # Below a power of two the steps are half as long.
            if 2 * largest > distance + 0.5:
                rounded = exact.astype(np.float32)
                distance = max(distance, int(distances(got, rounded).max()))
            inputs += x.size
            wrong += wrong_specials(function, x, got)
    return Result(name, inputs, error, worst, distance, wrong)


# ---------------------------------------------------------------- float64


def sample(count: int) -> Array:
    """Numbers from the whole of float64, most of them where the functions bend or end."""
    rng = np.random.default_rng(0)
    ends = (750.0, 40.0, 20.0, 2.0, 0.5)
    part = max(count // (len(ends) + 4), 1)
    signs = rng.choice([-1.0, 1.0], part)
    return np.concatenate(
        [
            [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324],
            rng.integers(0, 2**64, part, dtype=np.uint64).view(np.float64),
            rng.choice([-1.0, 1.0], part) * np.exp2(rng.uniform(-60, 10, part)),
            signs * rng.uniform(707, 747, part),  # where exp is denormal or overflows
            # log(2) / 2 + n log(2): the ends of exp's polynomial
            (rng.integers(-60, 60, part) + 0.5) * np.log(2.0) + rng.normal(0, 1e-3, part),
            *(rng.uniform(-end, end, part) for end in ends),
        ]
    )


def judge(function: Function, x: float, got: float) -> tuple[float, float]:
    """The error in ULP, and the correctly rounded value."""
    limit = mpmath.ldexp(1, 1024)
    exact = max(-limit, min(limit, function.exact(mpmath.mpf(x))))
    exponent = min(max(int(mpmath.frexp(exact)[1]) - 1, -1022), 1023)
    spacing = mpmath.ldexp(1, exponent - 52)
    rounded = mpmath.nint(exact / spacing) * spacing
    error = abs(max(-limit, min(limit, mpmath.mpf(got))) - exact) / spacing
    return float(error), float(rounded) if abs(rounded) < limit else float(
        mpmath.sign(exact)
    ) * np.inf


def suspects(function: Function, x: Array, got: Array) -> Array:
    """Where mpmath should look: at the worst by long double, or anywhere without it."""
    if function.long_double is None:
        chosen = np.random.default_rng(1).choice(x.size, min(x.size, 10 * MPMATH_POINTS), False)
        # (Far out, where mpmath works long, these functions are 0 or x.)
        return np.asarray(chosen[abs(x[chosen]) < 1e4])
    limit = np.ldexp(np.longdouble(1), 1024)  # infinite where long double is float64
    with np.errstate(all="ignore"):
        exact = function.long_double(x.astype(np.longdouble))
        steps = distances(got, exact.astype(np.float64))
        exact = np.clip(exact, -limit, limit)
        exponent = np.clip(np.frexp(exact)[1] - 1, -1022, 1023)
        errors = abs(np.clip(got.astype(np.longdouble), -limit, limit) - exact)
        errors = np.ldexp(errors, 52 - exponent).astype(np.float64)
    # A distance is at most half a step more than the error.
    suspicion = np.maximum(errors, steps.astype(np.float64) - 0.5)
    suspicion[~np.isfinite(x) | np.isnan(suspicion)] = -1.0
    candidates = np.argsort(suspicion)[-MPMATH_POINTS:]
    return candidates[suspicion[candidates] >= 0]


def measure_float64(name: str, count: int) -> Result:
    function = FUNCTIONS[name]
    x = sample(count)
    with np.errstate(all="ignore"):
        got = function.ours(x)
    candidates = suspects(function, x, got)
    with mpmath.workdps(60):
        judged = [judge(function, float(x[i]), float(got[i])) for i in candidates]
    found, rounded = (np.array(values) for values in zip(*judged, strict=True))
    best = int(np.argmax(found))
    return Result(
        name,
        x.size,
        float(found[best]),
        float(x[candidates[best]]),
        int(distances(got[candidates], rounded).max()),
        wrong_specials(function, x, got),
    )


# ---------------------------------------------------------------- the program


def row(result: Result, dtype: str) -> str:
    worst = f"{result.worst:.9g}" if dtype == "float32" else f"{result.worst!r}"
    return (
        f"| {result.name}, {dtype} | {result.inputs:,} | {result.error:.3f} | {worst} | "
        f"{result.distance} | {result.wrong} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=[*FUNCTIONS])
    parser.add_argument("--stride", type=int, default=1, help="between float32's bit patterns")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--float64-samples", type=int, default=2_000_000)
    args = parser.parse_args()
    if min(args.stride, args.processes, args.float64_samples) < 1:
        parser.error("--stride, --processes and --float64-samples must be at least 1")

    began = time.perf_counter()
    step = CHUNK * args.stride
    tasks = [
        (name, start, min(start + step, 2**32), args.stride)
        for name in args.functions
        for start in range(0, 2**32, step)
    ]
    singles = {name: Result(name, 0, 0.0, 0.0, 0, 0) for name in args.functions}
    doubles = {}
    with (
        multiprocessing.Pool(args.processes, pynn.set_num_threads, (1,)) as pool,
        tqdm(total=len(tasks) + len(args.functions), unit="chunk") as bar,
    ):
        for part in pool.imap_unordered(measure_float32, tasks):
            whole = singles[part.name]
            singles[part.name] = Result(
                part.name,
                whole.inputs + part.inputs,
                *max((whole.error, whole.worst), (part.error, part.worst)),
                max(whole.distance, part.distance),
                whole.wrong + part.wrong,
            )
            bar.set_description(f"{part.name} float32")
            bar.update()
        for name in args.functions:
            bar.set_description(f"{name} float64")
            doubles[name] = measure_float64(name, args.float64_samples)
            bar.update()
    config = pynn.show_config("dict")
    print(f"pynn {config['version']}, {config['isa']}, {time.perf_counter() - began:.0f} s\n")
    print("| function | inputs | largest error (ULP) | at | distance | wrong specials |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in args.functions:
        print(row(singles[name], "float32"))
        print(row(doubles[name], "float64"))


if __name__ == "__main__":
    main()
