"""The site: Sphinx over the Markdown of this folder, and pages of the Python interface from docstrings."""

from mmseg_tfovss import __version__

project = "mmseg_tfovss"
author = "the mmseg_tfovss developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {version}"

# Links to headings work as on GitHub; figures and notebooks are shown as they are in the repository.
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
# Type annotations name classes of other packages, whose documentation a machine without a network does not reach.
nitpick_ignore_regex = [("py:(class|exc|mod)", ".*")]
# Links to folders of the repository have no page here. tests/test_docs.py checks all links and anchors.
suppress_warnings = ["myst.xref_missing"]

nb_execution_mode = "off"
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
