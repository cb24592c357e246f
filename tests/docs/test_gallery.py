"""Every example of the gallery runs without a warning, prints, and draws labeled pictures."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
SCRIPTS = sorted(GALLERY.glob("plot_*.py"))
# A page: the lines that are neither empty nor a comment nor the docstring.
PAGE = 120

pytestmark = pytest.mark.parametrize("script", SCRIPTS, ids=[path.stem for path in SCRIPTS])


def panels(figure):
    """The Axes with data in them; color bars and shared legends are not among them."""
    return [ax for ax in figure.axes if ax.has_data() and not hasattr(ax, "_colorbar")]


def test_it_runs_prints_and_draws(script, example):
    ran = example(script.stem)
    assert ran.printed.strip()
    assert ran.figures


def says_itself(axis):
    """True if an axis needs no label: it has no ticks, named ticks, or its neighbor's ticks."""
    texts = [text.get_text() for text in axis.get_ticklabels()]
    sides = {"x": ("labelbottom", "labeltop"), "y": ("labelleft", "labelright")}[axis.axis_name]
    shown = any(axis.get_tick_params().get(side, False) for side in sides)
    return not shown or not any(texts) or any(any(c.isalpha() for c in text) for text in texts)


def test_panels_have_titles_and_labels(script, example):
    for number, figure in enumerate(example(script.stem).figures):
        axes = panels(figure)
        assert axes, f"figure {number} is empty"
        for place, ax in enumerate(axes):
            where = f"figure {number}, panel {place}"
            small_picture = (
                len(ax.images) == 1 and len(ax.get_xticks()) == len(ax.get_yticks()) == 0
            )
            if not ax.axison or small_picture:  # as of a digit, many of them in a figure
                continue
            assert ax.get_title() or figure.get_suptitle(), f"{where}: title"
            for axis in (ax.xaxis, ax.yaxis):
                labeled = axis.get_label().get_text() or says_itself(axis)
                assert labeled, f"{where}: label of {axis.axis_name}"


def test_no_text_is_cut_off(script, example):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for number, figure in enumerate(example(script.stem).figures):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        width, height = canvas.get_width_height()
        for ax in figure.axes:
            texts = [ax.title, ax.xaxis.label, ax.yaxis.label]
            for text in texts:
                if not (text.get_text() and text.get_visible() and ax.axison):
                    continue
                box = text.get_window_extent(renderer)
                inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
                assert inside, f"figure {number}: {text.get_text()!r} is cut off"


def test_curves_that_share_a_panel_are_named(script, example):
    for number, figure in enumerate(example(script.stem).figures):
        legend = figure.legends or any(ax.get_legend() for ax in figure.axes)
        for ax in panels(figure):
            named = [line for line in ax.lines if not line.get_label().startswith("_")]
            assert legend or len(named) < 2, f"figure {number}, {ax.get_title()!r}: no legend"


def test_it_is_a_page_of_code(script):
    source = script.read_text(encoding="utf-8")
    beside = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*beside, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    docstring = ast.parse(source).body[0]
    lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
    assert len(lines) <= PAGE


def test_it_teaches(script):
    source = script.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source))
    title, underline = text.splitlines()[:2]
    assert set(underline) == {"="}
    assert len(underline) == len(title)
    assert source.count("\n# %%") >= 2  # prose between the steps
    assert "References" in source or ".. [1]" in source
    assert all(len(line) <= 100 for line in source.splitlines())
