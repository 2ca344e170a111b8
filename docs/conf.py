"""How Sphinx builds the documentation: `python -m sphinx -W -b html docs docs/_build/html`."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

from sphinx.ext.napoleon import Config, GoogleDocstring

project = "resilient_ddb"
author = "the resilient_ddb authors"
copyright = author  # noqa: A001  # Sphinx's name
try:
    release = importlib.metadata.version("resilient_ddb")
except importlib.metadata.PackageNotFoundError:  # built from a checkout that is not installed
    release = ""
sys.path.insert(0, str(Path(__file__).parent))
extensions = ["sphinx.ext.autodoc", "myst_parser", "pictures", "rooms"]
exclude_patterns = ["_build", "**/__pycache__"]
default_role = "code"  # the docstrings' `names` are code
html_theme = "furo"
html_title = "resilient_ddb"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures of boto3's width can't be read with them


def read_sections(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn `Args:` and `Raises:` into fields.

    Not as the extension does: it takes an attribute's text up to the first colon for its type.
    """
    if what != "attribute":
        lines[:] = GoogleDocstring(list(lines), Config(), app, what, name, obj, options).lines()


def setup(app: Any) -> None:
    """Register what is ours."""
    app.connect("autodoc-process-docstring", read_sections)
