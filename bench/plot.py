"""Bar plot of the peers' speeds relative to pynn's."""

from __future__ import annotations

import math
from typing import Any

from report import TITLES, figure, geometric_means, groups, libraries

# Okabe and Ito's palette: told apart with any kind of color vision.
COLORS = {
    "numpy": "#0072B2",
    "sklearn": "#E69F00",
    "torch": "#D55E00",
    "torch_compile": "#000000",
    "jax": "#009E73",
    "onnxruntime": "#CC79A7",
    "onednn": "#56B4E9",
    "openblas": "#F0E442",
}
UNITS = {
    "training": "µs",
    "prediction": "µs",
    "layers": "µs",
    "layers_prediction": "µs",
    "matmul": "GFLOP/s",
    "activations": "GB/s",
}
Bars = dict[str, dict[str, float]]


def bars(section: str, rows: list[dict[str, Any]]) -> Bars:
    """Label to each peer's speed relative to pynn's; the nets' products as geometric means."""
    found: Bars = {}
    for group, part in groups(rows).items():
        if section == "matmul" and group not in {"squares", "other"}:
            found[f"{group} ({len(part)} products)"] = geometric_means(part)
            continue
        for row in part:
            pynn = figure(section, row, "pynn")
            found[f"{row['name']} ({pynn} {UNITS[section]})"] = row["ratio"]
    return {
        label: {peer: 1 / ratio for peer, ratio in values.items()}
        for label, values in found.items()
    }


def draw(axes: Any, section: str, threads: int, rows: list[dict[str, Any]]) -> None:
    """Draw one section: bars to the left of 1 are slower than pynn."""
    found, names = bars(section, rows), libraries(rows)[1:]
    height = 0.8 / max(1, len(names))
    for i, name in enumerate(names):
        offset = (i - (len(names) - 1) / 2) * height
        present = [(at, values[name]) for at, values in enumerate(found.values()) if name in values]
        positions = [at + offset for at, _ in present]
        lengths = [speed - 1 for _, speed in present]
        axes.barh(positions, lengths, height, left=1, color=COLORS.get(name, "gray"), label=name)
    axes.axvline(1, color="black", lw=1)
    speeds = [speed for values in found.values() for speed in values.values()]
    low, high = min([*speeds, 0.5]), max([*speeds, 1.0])
    axes.set_xscale("log")
    axes.set_xlim(low / 1.2, high * 1.2)
    multiples = (1, 2, 5) if high / low < 100 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**exponent * m for exponent in exponents for m in multiples]
    axes.set_xticks([tick for tick in ticks if low / 1.2 <= tick <= high * 1.2])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(_null_locator())
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("speed relative to pynn (pynn = 1, logarithmic; left: slower than pynn)")
    axes.set_title(
        f"{TITLES[section].partition(' (')[0].partition(',')[0]}, "
        f"{threads} thread{'s' * (threads > 1)} (in brackets: pynn)",
        fontsize=10,
    )
    axes.legend(fontsize=8, loc="best")


def _null_locator() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def save(path: str, results: dict[str, Any]) -> None:
    """Write the picture: a row of panels per thread count, a column per section."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    runs = results["runs"]
    # (Variants are not rivals.)
    sections = [name for name, rows in runs[0]["sections"].items() if rows and name in UNITS]
    if not sections:
        return
    tallest = max(
        sum(map(len, bars(name, runs[0]["sections"][name]).values())) for name in sections
    )
    figure_, axes = plt.subplots(
        len(runs),
        len(sections),
        squeeze=False,
        layout="constrained",
        figsize=(7.5 * len(sections), len(runs) * (1.5 + 0.14 * tallest)),
    )
    for line, run in zip(axes, runs, strict=True):
        for panel, section in zip(line, sections, strict=True):
            draw(panel, section, run["threads"], run["sections"][section])
    machine = results["machine"]
    figure_.suptitle(f"{machine['cpu']}, {machine['date'][:10]}, float32")
    figure_.savefig(path, dpi=110)
    plt.close(figure_)
