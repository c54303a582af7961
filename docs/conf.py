"""The site: Sphinx over the Markdown of this folder, and pages of the Python interface from docstrings."""

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

from mmseg_tfovss import __version__

ROOT = Path(__file__).parents[1]

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

nb_execution_mode = "off"
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def name_folders(document: nodes.document, page: Path) -> None:
    """Put the names of folders in place of links to them: the site holds no folders, and GitHub's address is not known.

    Links to files of the repository stay: Sphinx copies those files, and offers them for download.

    Args:
        document: of a page, before its links are resolved; changed.
        page: its file.
    """
    for link in list(document.findall(pending_xref)):
        folder = (page.parent / link["reftarget"]).resolve()
        if link.get("reftype") == "myst" and folder.is_dir() and folder.is_relative_to(ROOT):
            name, text = folder.relative_to(ROOT).as_posix(), link.astext()
            shown = [nodes.literal(name, name)]
            link.replace_self(shown if text == name else [nodes.Text(f"{text} ("), *shown, nodes.Text(")")])


def setup(app: Sphinx) -> None:
    """Name folders in every page."""
    app.connect("doctree-read", lambda app, document: name_folders(document, Path(app.env.doc2path(app.env.docname))))
