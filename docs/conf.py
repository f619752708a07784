"""Sphinx builds the site: `python -m pip install '.[docs]' && python -m sphinx -W docs docs/_build`."""

import os
import sys
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# a kernel that says nothing of how it is connected
os.environ["JUPYTER_PATH"] = str(Path(__file__).parent / "_ext" / "jupyter")

import gflow  # noqa: E402

project, author, copyright = "gflow", "The gflow authors", "The gflow authors"
version = release = gflow.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "generated",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates", "_build", "_ext", "jupyter_execute", "develop/looks", "**.ipynb_checkpoints"]
html_theme = "pydata_sphinx_theme"
html_title = "gflow"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "search_as_you_type": False,
    "header_links_before_dropdown": 9,
    "navbar_align": "left",
    "show_prev_next": True,
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_baseurl = os.environ.get(
    "GFLOW_SITE_ADDRESS", ""
)  # of the published site: a map of it is written where it is known
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# the list of names is written by `generated`, after Sphinx has looked for pages
autosummary_generate = ["reference/api/index.md"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
suppress_warnings = ["config.cache"]
nb_execution_show_tb = True
