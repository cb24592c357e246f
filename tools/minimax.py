"""Print the polynomial coefficients that csrc/kernels/math.h contains.

Each is a weighted minimax fit (Remez's exchange algorithm in 60 decimal digits); the last
column of the output is the largest weighted error, to be compared with half a unit in the last
place, 2**-25 for float32 and 2**-54 for float64. The last number is what
the rounded coefficient lost.

    python tools/minimax.py
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import mpmath as mp

mp.mp.dps = 60

Function = Callable[[mp.mpf], mp.mpf]
Fit = tuple[str, Function, Function, int, mp.mpf, mp.mpf]


def remez(
    function: Function, weight: Function, degree: int, low: mp.mpf, high: mp.mpf
) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients (constant first) minimizing max |weight * (function - polynomial)|."""
    count = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    coefficients: list[mp.mpf] = []
    worst = mp.mpf(0)
    for _ in range(30):
        matrix = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for row, x in enumerate(nodes):
            for power in range(degree + 1):
                matrix[row, power] = x**power
            matrix[row, degree + 1] = (-1) ** row / weight(x)
            right[row] = function(x)
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[i] for i in range(degree + 1)]

        def error(x: mp.mpf, c: list[mp.mpf] = coefficients) -> mp.mpf:
            return weight(x) * (function(x) - mp.polyval(c[::-1], x))

        # One extremum lies between each pair of neighboring zeros of the error.
        zeros = [low]
        for left, right_node in pairwise(nodes):
            zeros.append(mp.findroot(error, (left, right_node), solver="anderson", verify=False))
        zeros.append(high)
        nodes = [extremum(error, a, b) for a, b in pairwise(zeros)]
        sizes = [abs(error(x)) for x in nodes]
        worst = max(sizes)
        if worst - min(sizes) < worst * mp.mpf("1e-6"):
            break
    return coefficients, worst


def extremum(error: Function, low: mp.mpf, high: mp.mpf) -> mp.mpf:
    """Golden-section search for the largest |error| on [low, high]."""
    ratio = (mp.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if abs(error(a)) > abs(error(b)):
            high = b
        else:
            low = a
    return (low + high) / 2


def exp_tail(r: mp.mpf) -> mp.mpf:
    """q(r) in exp(r) = 1 + r + r**2 q(r)."""
    if abs(r) < mp.mpf("1e-10"):
        return mp.mpf(1) / 2 + r / 6 + r**2 / 24
    return (mp.expm1(r) - r) / r**2


def log_tail(z: mp.mpf) -> mp.mpf:
    """t(z) in log((1 + s) / (1 - s)) = 2 s + s z t(z), z = s**2."""
    if z < mp.mpf("1e-12"):
        return mp.mpf(2) / 3 + 2 * z / 5
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


def log1p_tail(y: mp.mpf) -> mp.mpf:
    """p(y) in log((2 + q) / (2 - q)) = q + q y p(y), y = q**2."""
    if y < mp.mpf("1e-12"):
        return mp.mpf(1) / 12 + y / 80
    q = mp.sqrt(y)
    return (2 * mp.atanh(q / 2) / q - 1) / y


def mills(k: int) -> Function:
    """G(s) = (t + k) Phi(-t) exp(t**2 / 2) with s = (t - k) / (t + k), for t >= 0."""

    def function(s: mp.mpf) -> mp.mpf:
        t = k * (1 + s) / (1 - s)
        return (t + k) * mp.erfc(t / mp.sqrt(2)) / 2 * mp.exp(t * t / 2)

    return function


def mills_fit(name: str, k: int, degree: int, t_max: float) -> Fit:
    """The fit for 0 <= t <= t_max, of relative error."""
    function, high = mills(k), (mp.mpf(t_max) - k) / (mp.mpf(t_max) + k)
    return name, function, lambda s: 1 / function(s), degree, mp.mpf(-1), high


def main() -> None:
    """Fit and print every polynomial."""
    reduced = mp.log(2) / 2 * mp.mpf("1.0001")
    s_max = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    z_max = s_max**2 * mp.mpf("1.0001")

    y_max = mp.mpf(4) / 9 * mp.mpf("1.0001")

    # The error of q reaches exp(r) - 1 as r**2 dq, relative to about r.
    def exp_weight(r: mp.mpf) -> mp.mpf:
        return abs(r) + mp.mpf("0.001")

    def log_weight(z: mp.mpf) -> mp.mpf:
        return z / 2 + mp.mpf("1e-5")

    def log1p_weight(y: mp.mpf) -> mp.mpf:
        return y + mp.mpf("1e-5")

    fits: list[Fit] = [
        ("exp float32", exp_tail, exp_weight, 5, -reduced, reduced),
        ("exp float64", exp_tail, exp_weight, 9, -reduced, reduced),
        ("log float32", log_tail, log_weight, 2, mp.mpf(0), z_max),
        ("log float64", log_tail, log_weight, 6, mp.mpf(0), z_max),
        ("log1p float32", log1p_tail, log1p_weight, 3, mp.mpf(0), y_max),
        ("log1p float64", log1p_tail, log1p_weight, 9, mp.mpf(0), y_max),
        mills_fit("Mills float32", 3, 10, 15.0),
        mills_fit("Mills float64", 4, 24, 39.0),
    ]
    for name, function, weight, degree, low, high in fits:
        coefficients, worst = remez(function, weight, degree, low, high)
        print(f"{name}: largest weighted error 2**{float(mp.log(worst, 2)):.1f}")
        for power, value in enumerate(coefficients):
            with mp.workprec(24 if name.endswith("float32") else 53):
                rounded = +value
            rest = float(value - rounded).hex()
            print(f"  {power}: {mp.nstr(value, 20)}  {float(value).hex()}  {rest}")


if __name__ == "__main__":
    main()
