"""Draw the training times that compare.py has written, and print the tables of the documentation.

    python bench/compare.py --threads 1,2 --only training,variants,prediction --json compare.json
    python bench/overview.py compare.json performance.png

`bench/results/` holds the results that `docs/performance.md` and the README show:

    python bench/overview.py bench/results/avx512.json docs/performance.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from plot import COLORS
from report import in_unit

Row = dict[str, Any]

# Told apart in gray, too.
MARKERS = {"numpy": "s", "sklearn": "D", "torch": "^", "jax": "o"}
LABELS = {
    "numpy": "NumPy",
    "sklearn": "scikit-learn",
    "torch": "PyTorch",
    "jax": "JAX (lax.scan)",
    "onnxruntime": "ONNX Runtime",
}


class Table(NamedTuple):
    """What a section's table shows, at most six columns."""

    rows: str
    columns: dict[str, str]
    has_times: bool


TABLES = {
    "training": Table("network, mini-batch", {name: LABELS[name] for name in MARKERS}, True),
    "variants": Table(
        "network, mini-batch",
        {name: name for name in ("shuffled", "momentum", "Nesterov", "Adam", "float64")},
        False,
    ),
    # (Without scikit-learn, whose predictions are NumPy's and its own checks.)
    "prediction": Table(
        "network, rows",
        {name: LABELS[name] for name in ("numpy", "torch")}
        | {"jax": "JAX", "onnxruntime": LABELS["onnxruntime"]},
        True,
    ),
}


def label(name: str) -> str:
    """A case's name as a reader would write it: "784-128-10 b32" is "784-128-10, 32"."""
    return name.replace(" b", ", ")


def draw(axes: Any, rows: list[Row], threads: int) -> None:
    """Draw one panel: a line for each network, a mark for each library."""
    for at, row in enumerate(rows):
        ratios = [row["ratio"][name] for name in MARKERS if name in row["ratio"]]
        axes.plot([1, max(ratios)], [at, at], color="0.8", lw=1, zorder=1)
    for name, marker in MARKERS.items():
        points = [(row["ratio"][name], at) for at, row in enumerate(rows) if name in row["ratio"]]
        if points:
            axes.scatter(
                *zip(*points, strict=True), marker=marker, s=34, color=COLORS[name],
                edgecolor="white", linewidth=0.5, zorder=2, label=LABELS[name],
            )  # fmt: skip
    axes.axvline(1, color="black", lw=1.5, label="pynn")
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 50, 200], ["1", "2", "5", "10", "50", "200"])
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(cores(threads), fontsize=10)
    axes.set_xlabel("time of a training step, pynn's = 1 (right: slower)")


def cores(threads: int) -> str:
    """Say how many cores a run had."""
    return f"{threads} core{'s' * (threads > 1)}"


def cells(section: str, row: Row) -> list[str]:
    """The cells of one row, the fastest library in bold."""
    table = TABLES[section]
    ratios = {name: row["ratio"].get(name) for name in table.columns}
    texts = {name: "" if ratio is None else f"{ratio:.2f}" for name, ratio in ratios.items()}
    if not table.has_times:
        return [label(row["name"]), *texts.values()]
    time = in_unit(section, row, row["median"]["pynn"])
    fastest = min((ratio, name) for name, ratio in ratios.items() if ratio is not None)
    if fastest[0] < 1:
        texts[fastest[1]] = f"**{texts[fastest[1]]}**"
    else:
        time = f"**{time}**"
    return [label(row["name"]), time, *texts.values()]


def table(run: dict[str, Any], section: str, names: tuple[str, ...] = ()) -> str:
    """Return the medians and ratios of a run's section as Markdown.

    Parameters
    ----------
    run : dict
        One of the results' `runs`.
    section : str
        A key of `TABLES`.
    names : tuple of str
        Cases to show, by default all.
    """
    what = TABLES[section]
    head = [what.rows, *["pynn (µs)"] * what.has_times, *what.columns.values()]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    rows = run["sections"][section]
    lines += [cells(section, row) for row in rows if not names or row["name"] in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(results: dict[str, Any]) -> Any:
    """Draw a panel for each number of cores; return the figure."""
    from matplotlib import pyplot as plt

    runs = results["runs"]
    figure, panels = plt.subplots(
        1, len(runs), sharey=True, squeeze=False, figsize=(9, 4.2), layout="constrained"
    )
    for axes, run in zip(panels[0], runs, strict=True):
        draw(axes, run["sections"]["training"], run["threads"])
    names = [label(row["name"]) for row in runs[0]["sections"]["training"]]
    panels[0, 0].set_yticks(range(len(names)), names, fontsize=8)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle("One SGD step (forward, loss, backward, update), float32", fontsize=11)
    return figure


def main() -> None:
    """Read the results, write the picture, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the file that compare.py --json has written")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    results = json.loads(options.results.read_text(encoding="utf-8"))
    picture(results).savefig(options.picture, dpi=120)
    for run in results["runs"]:
        for section in TABLES:
            if section in run["sections"] and (section != "variants" or run["threads"] == 1):
                print(f"{section}, {cores(run['threads'])}\n\n{table(run, section)}\n")


if __name__ == "__main__":
    main()
