"""Tables of the figures, in words and columns."""

from __future__ import annotations

import statistics
from typing import Any

TITLES = {
    "training": "Training: one SGD step (forward, loss, backward, update), float32, in µs",
    "variants": "pynn's training steps in other ways, in µs (ratio: to plain SGD, unshuffled)",
    "prediction": "Prediction: class probabilities, float32, in µs",
    "layers": "Networks of layers: one training step, float32, in µs",
    "layers_prediction": "Networks of layers: predictions, float32, in µs",
    "matmul": "Matrix products (m x k by k x n; T: transposed view), float32, in GFLOP/s",
    "activations": "Activations, float32, in GB/s read and written (8 bytes an element)",
}
RATES = ("matmul", "activations")  # in units of 1e9 a second; the others in µs
Row = dict[str, Any]


def in_unit(section: str, row: Row, seconds: float) -> str:
    """A time in the section's unit."""
    value = row["work"] / seconds / 1e9 if section in RATES else seconds * 1e6
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f}"


def figure(section: str, row: Row, name: str) -> str:
    """The median of a library in the section's unit."""
    seconds = row["median"].get(name)
    return "-" if seconds is None else in_unit(section, row, seconds)


def libraries(rows: list[Row]) -> list[str]:
    """Names of what was measured, pynn first."""
    return list(dict.fromkeys(name for row in rows for name in row["median"]))


def geometric_means(rows: list[Row]) -> dict[str, float]:
    """Geometric mean of the ratios of each peer over the rows in which it takes part."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, ratio in row["ratio"].items():
            found.setdefault(name, []).append(ratio)
    return {name: statistics.geometric_mean(ratios) for name, ratios in found.items()}


def groups(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by group, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["group"], []).append(row)
    return found


def copy_cells(section: str, row: Row) -> list[str]:
    """What a copy of the same arrays reaches, and pynn's time over the copy's."""
    copy = row["copy"]
    return [in_unit(section, row, copy["median"]), f"{copy['ratio']:.2f}"] if copy else ["-", "-"]


def print_section(section: str, threads: int, rows: list[Row], peak: float | None = None) -> None:
    """Print a section's table.

    Parameters
    ----------
    section : str
        Its name.
    threads : int
        Threads of each library.
    rows : list of dict
        As `worker.row` makes them.
    peak : float, optional
        GFLOP/s of the processor at most: adds the share of it that pynn reaches.
    """
    peak = None if section == "activations" else peak  # whose work is bytes
    limited = any(row["copy"] for row in rows)
    names = libraries(rows)
    pynn, others = names[0], names[1:]
    header = ["", pynn, *(text for name in others for text in (name, "ratio"))]
    header += ["fastest peer", "ratio"] + ["% of peak"] * bool(peak)
    header += ["copy", "time/copy"] * limited
    table = [header]
    for row in rows:
        cells = [row["name"], figure(section, row, pynn)]
        for name in others:
            ratio = row["ratio"].get(name)
            cells += [figure(section, row, name), f"{ratio:.2f}" if ratio else "-"]
        fastest = row["fastest_peer"]
        cells += [fastest or "-", f"{row['ratio'][fastest]:.2f}" if fastest else "-"]
        if peak:
            cells.append(f"{row['work'] / row['median'][pynn] / peak / 1e7:.0f}")
        if limited:
            cells += copy_cells(section, row)
        table.append(cells)
    by_group = groups(rows)
    parts = {f"geometric mean, {name}": part for name, part in by_group.items()}
    for title, part in {**(parts if len(parts) > 1 else {}), "geometric mean": rows}.items():
        means = geometric_means(part)
        cells = [title, ""]
        for name in others:
            cells += ["", f"{means[name]:.2f}" if name in means else "-"]
        fastest_ratios = [row["ratio"][row["fastest_peer"]] for row in part if row["ratio"]]
        mean = f"{statistics.geometric_mean(fastest_ratios):.2f}" if fastest_ratios else "-"
        table.append([*cells, "", mean] + [""] * (bool(peak) + 2 * limited))

    print(f"\n{TITLES[section]}, {threads} thread{'s' * (threads > 1)}")
    if section != "variants":
        print("ratio: the peer's time over pynn's (above 1: pynn is faster), median over rounds")
    if limited:
        print(
            "time/copy: pynn's time over that of np.copyto of the same arrays, the memory's limit"
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        print("  ".join((first, *rest)).rstrip(), flush=True)


def print_libraries(facts: dict[str, dict[str, Any]]) -> None:
    """Print what each library says of itself: versions, kernels, threads."""
    for name, its_facts in facts.items():
        told = ", ".join(
            f"{key} {'/'.join(value) if isinstance(value, list) else value}"
            for key, value in its_facts.items()
        )
        if told:
            print(f"{name}: {told}", flush=True)


def print_machine(machine: dict[str, Any]) -> None:
    """Print what the figures were measured on."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"{machine['cpu']}, {machine['cores']} cores; {', '.join(machine['caches'])}")
    print(
        f"{machine['system']}; frequency governor {machine['governor'] or 'unknown'}; "
        f"load average {machine['load_average']}"
    )
    print(versions)
