"""Helpers of the tests of pictures: contrasts, and positions of texts."""

import numpy as np


def linear(color):
    """A color's intensities, without sRGB's gamma."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(color):
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    """The contrast of two colors after WCAG 2.1, from 1 to 21; text should have 4.5."""
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def check_nothing_is_cut(figure):
    """All that is drawn lies within the figure."""
    figure.canvas.draw()
    box = figure.get_tightbbox(figure.canvas.get_renderer())  # in inches
    width, height = figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def check_apart(texts):
    """None of the texts covers another."""
    figure = texts[0].get_figure()
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [text for text in texts if text.get_text().strip()]
    x0, y0, x1, y1 = np.array([text.get_window_extent(renderer).extents for text in texts]).T
    side = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    up = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    both = (side > 1) & (up > 1)  # pixels: fonts' boxes are a little larger than their letters
    np.fill_diagonal(both, False)
    assert not both.any(), [texts[i].get_text() for i in np.flatnonzero(both.any(axis=0))]
