"""The documentation site: ``sphinx-build -W --keep-going -b html docs build/docs``.

It describes the installed package. Pages are Markdown, the API reference comes from the docstrings,
and the gallery from running the programs in ``gallery/``; ``-D plot_gallery=0`` leaves that out.
"""

import re
from pathlib import Path

import pynn

project = "pynn"
author = "The pynn developers"
copyright = "The pynn developers, BSD-3-Clause"
version = release = pynn.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["gallery/**", "**/sg_execution_times.rst", "sg_execution_times.rst"]
language = "en_US"
# `fit` in a docstring is a link if there is such a thing, and italic if there is not.
default_role = "autolink"

# ---------------------------------------------------------------- pages

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # as GitHub has them, so that links hold there and here
copybutton_exclude = ".linenos, .gp, .go"

# ------------------------------------------------------------ reference

autosummary_generate = sorted(str(path) for path in Path(__file__).parent.glob("api/*.rst"))
# Files whose names differ in case only are one file on some systems.
autosummary_filename_map = {"pynn.Huber": "pynn.Huber-loss", "pynn.Pinball": "pynn.Pinball-loss"}
autodoc_typehints = "none"  # numpydoc's sections say it in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the templates do

# ------------------------------------------------------------- pictures

plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 110)]

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["auto_gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "image_srcset": ["2x"],
    "thumbnail_size": (560, 360),
    "capture_repr": (),  # what a program prints, not the value of its last line
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
}

# ----------------------------------------------------------------- html

html_theme = "pydata_sphinx_theme"
html_title = "pynn"
html_static_path = ["_static"]
html_css_files = ["pynn.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def escape_initials(app, what, name, obj, options, lines):
    """Keep "D. P. Kingma" in a reference from being read as item D of a list."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"^(\s*(?:\.\. \[\d+\] )?)(?=[A-Z]\. )", r"\1\\", line)


def setup(app):
    """Before numpydoc, which reads the references too."""
    app.connect("autodoc-process-docstring", escape_initials, priority=400)
