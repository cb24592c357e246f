"""Draw one picture of the training figures that compare.py has written, and print its tables.

python bench/compare.py --threads 1,2 --only training,variants,prediction --json compare.json
python bench/overview.py compare.json overview.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from plot import COLORS
from report import in_unit

# Told apart in gray, too.
MARKERS = {"numpy": "s", "sklearn": "D", "torch": "^", "jax": "o"}
LABELS = {"numpy": "NumPy", "sklearn": "scikit-learn", "torch": "PyTorch", "jax": "JAX (lax.scan)"}
# Of each section's table: what its rows are, and its columns beside pynn's.
TABLES = {
    "training": ("network, mini-batch", LABELS),
    "variants": (
        "network, mini-batch",
        {name: name for name in ("shuffled", "momentum", "Nesterov", "Adam", "float64")},
    ),
    "prediction": ("network, rows", LABELS | {"jax": "JAX", "onnxruntime": "ONNX Runtime"}),
}


def draw(axes: Any, rows: list[dict[str, Any]], threads: int) -> None:
    """One panel: a line for each network, a mark for each library."""
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
    axes.set_title(f"{threads} core{'s' * (threads > 1)}", fontsize=10)
    axes.set_xlabel("time of a training step, pynn's = 1 (right: slower)")


def table(runs: list[dict[str, Any]], section: str) -> str:
    """The medians and ratios of a section, as Markdown."""
    what, columns = TABLES[section]
    runs = [run for run in runs if section in run["sections"]]
    head, line = [what], ["---"]
    for run in runs:
        cores = "1 core" if run["threads"] == 1 else f"{run['threads']} cores"
        head += [f"pynn, {cores}", *columns.values()]
        line += ["---:"] * (1 + len(columns))
    lines = [head, line]
    for rows in zip(*(run["sections"][section] for run in runs), strict=True):
        cells = [rows[0]["name"].replace(" b", ", ")]
        for row in rows:
            cells.append(f"{in_unit(section, row, row['median']['pynn'])} µs")
            cells += [f"{row['ratio'][k]:.2f}" if k in row["ratio"] else "" for k in columns]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Read the figures and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path, help="what compare.py --json has written")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    results = json.loads(options.figures.read_text())
    runs = results["runs"]
    figure, panels = plt.subplots(
        1, len(runs), sharey=True, squeeze=False, figsize=(9, 4.2), layout="constrained"
    )
    for axes, run in zip(panels[0], runs, strict=True):
        draw(axes, run["sections"]["training"], run["threads"])
    names = [row["name"].replace(" b", ", batch ") for row in runs[0]["sections"]["training"]]
    panels[0, 0].set_yticks(range(len(names)), names, fontsize=8)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle("One SGD step (forward, loss, backward, update), float32", fontsize=11)
    figure.savefig(options.picture, dpi=120)
    for section in TABLES:
        if section in runs[0]["sections"]:
            print(table(runs, section), end="\n\n")


if __name__ == "__main__":
    main()
