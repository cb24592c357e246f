"""Draws ``architecture.svg``: how a mini-batch travels from `fit` to the micro-kernel.

Run it after a change: ``python docs/draw_architecture.py``. All text lies on boxes that bring their
own color, so that the picture can be read on a light page and on a dark one.
"""

from html import escape
from pathlib import Path

WIDTH = 860
INK, SOFT, LINE = "#1b2430", "#3d4a5c", "#7c8794"
PALE, DARK = "#eaf7f2", "#00724f"
# Okabe and Ito's colors, lightened: Python, bindings, networks, dispatch, kernels.
FILLS = ["#d9ecf8", "#fbe3c0", "#d5efe6", "#f7dcea", "#f9f3c4"]
EDGES = ["#0072b2", "#d08700", "#009e73", "#cc79a7", "#b0a100"]


class Picture:
    """Boxes and arrows, as SVG."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: str, edge: str, radius: int = 6
    ) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
            f'fill="{fill}" stroke="{edge}" stroke-width="1.5"/>'
        )

    def text(self, x: float, y: float, words: str, look: str, anchor: str = "middle") -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{look}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def strip(self, y: float, words: str) -> None:
        """White on green: where the threads wait for each other."""
        self.rectangle(24, y, WIDTH - 48, 26, DARK, DARK, 13)
        self.text(WIDTH / 2, y + 18, words, "w")

    def box(self, x: float, y: float, width: float, height: float, kind: int, *lines: str) -> None:
        """A title, a file in fixed type, and then prose."""
        self.rectangle(x, y, width, height, "#ffffff", EDGES[kind])
        top = y + (height - 18 * len(lines)) / 2 + 14
        for i, (look, words) in enumerate(zip(("t", "f", "p", "p"), lines, strict=False)):
            self.text(x + width / 2, top + 18 * i, words, look)

    def band(self, y: float, height: float, kind: int, title: str) -> None:
        self.rectangle(8, y, WIDTH - 16, height, FILLS[kind], EDGES[kind], 10)
        self.text(22, y + 22, title, "b", "start")

    def arrow(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.parts.append(
            f'<line x1="{x0:g}" y1="{y0:g}" x2="{x1:g}" y2="{y1:g}" stroke="{LINE}" '
            'stroke-width="2" marker-end="url(#tip)"/>'
        )

    def svg(self, height: float) -> str:
        fonts = "font-family: system-ui, 'DejaVu Sans', Arial, sans-serif"
        style = (
            f"text {{ {fonts}; fill: {INK}; font-size: 13px }} .t {{ font-weight: 600 }} "
            f".b {{ font-weight: 600; font-size: 14px }} .p {{ fill: {SOFT}; font-size: 12px }} "
            f".w {{ fill: #ffffff; font-weight: 600 }} "
            f".f {{ font-family: 'DejaVu Sans Mono', monospace; font-size: 11px; fill: {SOFT} }}"
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
                'role="img" aria-labelledby="title">',
                '<title id="title">From fit to the micro-kernel</title>',
                f"<style>{style}</style>",
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker>'
                "</defs>",
                *self.parts,
                "</svg>\n",
            ]
        )


def draw() -> str:
    """The picture, as SVG."""
    p = Picture()

    p.band(8, 118, 0, "Python · pynn: arguments, names, history")
    for i, lines in enumerate(
        [
            ("net.fit(X, y)", "plan.py, data.py", "checks, without a copy of X"),
            ("each epoch", "run.py, sources.py", "order = rng.permutation(n)"),
            ("after it", "history.py, callbacks.py", "metrics, callbacks"),
        ]
    ):
        p.box(24 + 281 * i, 42, 250, 72, 0, *lines)
    p.arrow(274, 78, 303, 78)
    p.arrow(555, 69, 584, 69)
    p.arrow(586, 90, 557, 90)

    p.arrow(430, 126, 430, 150)
    p.band(152, 112, 1, "Bindings · csrc/bindings: the only place that sees Python.h")
    bound = "arrays become pointers and strides; the GIL is released"
    p.box(155, 184, 550, 70, 1, "train", "network.cpp, dataset.h", bound)

    p.arrow(430, 264, 430, 288)
    p.band(290, 330, 2, "Networks · csrc/nn: for each mini-batch, on every thread (trainer.cpp)")
    p.rectangle(24, 322, WIDTH - 48, 108, PALE, EDGES[2], 8)
    p.text(38, 341, "Phase 1: its rows of the mini-batch", "t", "start")
    for i, lines in enumerate(
        [
            ("gather", "matrix.cpp", "rows from all over X"),
            ("forward", "layers/dense.cpp", "h = f(x W + b)"),
            ("loss", "loss.cpp", "and its gradient δ"),
            ("backward", "layers/dense.cpp", "δ = δ Wᵀ · f′"),
        ]
    ):
        x = 38 + 201 * i
        p.box(x, 352, 180, 68, 2, *lines)
        if i:
            p.arrow(x - 21, 386, x - 2, 386)
    p.strip(438, "barrier")
    p.rectangle(24, 472, WIDTH - 48, 108, PALE, EDGES[2], 8)
    p.text(38, 491, "Phase 2: its part of the parameters", "t", "start")
    gradient = "dW = xᵀ δ, a sum over all rows, in one order"
    update = "W is updated tile by tile, in the epilogue"
    p.box(38, 502, 382, 68, 2, "gradient", "layers/dense.cpp", gradient)
    p.box(441, 502, 382, 68, 2, "update", "optimizer.cpp", update)
    p.arrow(420, 536, 439, 536)
    p.strip(588, "barrier; the next mini-batch")

    p.arrow(430, 620, 430, 644)
    p.band(646, 112, 3, "Dispatch · csrc/dispatch: chosen once, at import")
    sets = "the kernels for this processor: AVX-512, AVX2, NEON or the baseline"
    p.box(155, 678, 550, 70, 3, "one table of function pointers", "kernels/kernel_table.h", sets)

    p.arrow(430, 758, 430, 782)
    p.band(784, 122, 4, "Kernels · csrc/kernels: compiled once for each instruction set")
    for i, lines in enumerate(
        [
            ("product", "gemm.h", "other strategies for", "small or thin shapes"),
            ("plan", "gemm_plan.h", "blocks for the caches,", "k cut every 512"),
            ("macro-kernel", "gemm_blocks.h", "tiles of c, packing", "where it pays"),
            ("micro-kernel", "gemm_micro_kernel.h", "a tile in registers:", "s = fma(a, b, s)"),
        ]
    ):
        x = 24 + 206 * i
        p.box(x, 816, 187, 80, 4, *lines)
        if i:
            p.arrow(x - 19, 856, x - 2, 856)
    return p.svg(914)


if __name__ == "__main__":
    Path(__file__).with_name("architecture.svg").write_text(draw(), encoding="utf-8")
