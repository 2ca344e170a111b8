"""How Sphinx builds the documentation: `python -m sphinx -W -b html docs docs/_build/html`."""

import sys
from pathlib import Path
from typing import Any

from sphinx.ext.napoleon import Config, GoogleDocstring

import resilient_ddb
from resilient_ddb.events import FIELDS

project = "resilient_ddb"
author = "the resilient_ddb authors"
copyright = author  # noqa: A001  # Sphinx's name
release = version = resilient_ddb.__version__
sys.path.insert(0, str(Path(__file__).parent))
extensions = [
    "sphinx.ext.autodoc",
    "myst_parser",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "pictures",
    "programs",
    "rooms",
]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
exclude_patterns = ["_build", "**/__pycache__"]
default_role = "code"  # the docstrings' `names` are code
html_theme = "furo"
html_title = f"resilient_ddb {release}".rstrip()
html_static_path = ["_static"]
html_css_files = ["site.css"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90  # beyond it, each parameter has a line of its own


def read_sections(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn `Args:` and `Raises:` into fields.

    Not as the extension does: it takes an attribute's text up to the first colon for its type. A class's fields have
    entries of their own: the part about them is for `help()`.
    """
    if what == "class" and FIELDS in lines:
        del lines[lines.index(FIELDS) :]
    if what != "attribute":
        lines[:] = GoogleDocstring(list(lines), Config(), app, what, name, obj, options).lines()


def setup(app: Any) -> None:
    """Register what is ours."""
    app.connect("autodoc-process-docstring", read_sections)
