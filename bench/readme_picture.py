"""Draw the README's picture: a training step of four networks on one core, library by library.

python bench/readme_picture.py bench/results/avx512.json docs/speed.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from overview import LABELS, MARKERS
from plot import COLORS

# From a network where calling the library is most of the time to one that is matrix products.
NETWORKS = {
    "4-16-3 b16": "4-16-3\nmini-batches of 16",
    "10-64-64-10 b128": "10-64-64-10\nmini-batches of 128",
    "784-256-128-10 b128": "784-256-128-10\nmini-batches of 128",
    "1024-1024-1024-1024 b256": "1024-1024-1024-1024\nmini-batches of 256",
}
# Fastest to slowest on most networks, from the top.
ORDER = ("pynn", "jax", "numpy", "sklearn", "torch")


def three_digits(value: float) -> str:
    """Write a number of 1 to 999."""
    return f"{value:.{3 - len(str(int(value)))}f}"


def time_of(seconds: float) -> str:
    """Write a time with its unit."""
    for unit, size in (("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{three_digits(seconds / size)} {unit}"
    raise ValueError(f"no step takes {seconds} s")


def draw(axes: Any, row: dict[str, Any]) -> None:
    """Draw a bar for each library, labeled with its time relative to pynn's."""
    names = [name for name in ORDER if name == "pynn" or name in row["ratio"]]
    ratios = [1.0 if name == "pynn" else row["ratio"][name] for name in names]
    colors = ["black" if name == "pynn" else COLORS[name] for name in names]
    axes.barh(range(len(names)), ratios, color=colors, height=0.72)
    for at, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
        own = name == "pynn"
        text = time_of(row["median"]["pynn"]) if own else f"{three_digits(ratio)}×"
        place = (ratio + 0.02 * max(ratios), at)
        axes.text(*place, text, va="center", fontsize=9, weight="bold" if own else "normal")
    axes.set_xlim(0, 1.35 * max(ratios))
    axes.set_title(NETWORKS[row["name"]], fontsize=10)
    axes.set_xticks([])
    axes.set_yticks(range(len(names)), ["pynn", *(LABELS[name] for name in names[1:])])
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_ylim(len(names) - 0.5, -0.5)


def picture(results: dict[str, Any]) -> Any:
    """Draw the four panels; return the figure."""
    from matplotlib import pyplot as plt

    run = next(run for run in results["runs"] if run["threads"] == 1)
    rows = {row["name"]: row for row in run["sections"]["training"]}
    figure, panels = plt.subplots(
        1, len(NETWORKS), sharey=True, figsize=(9.6, 2.7), layout="constrained"
    )
    for axes, name in zip(panels, NETWORKS, strict=True):
        draw(axes, rows[name])
    figure.suptitle("Time of a training step on one core (shorter is faster)", fontsize=12)
    return figure


def main() -> None:
    """Read the results and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the file that compare.py --json has written")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    assert set(ORDER) == {"pynn", *MARKERS}
    picture(json.loads(options.results.read_text(encoding="utf-8"))).savefig(
        options.picture, dpi=160
    )


if __name__ == "__main__":
    main()
