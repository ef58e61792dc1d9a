"""Settings of Sphinx for the site: ``make docs``."""

import sys
from pathlib import Path

import ups

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "UPS"
author = "The UPS team"
version = release = ups.__version__
html_title = f"UPS {version}"
html_theme = "furo"
html_favicon = "../src/ups/dashboard/page/icon.svg"
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_reference"]
exclude_patterns = ["extensions", "pictures/*.py"]
highlight_language = "text"
smartquotes = False  # they would turn --option into –option

# The pages are read on GitHub too: its anchors, its tables, and nothing that it would show as source.
myst_heading_anchors = 3
myst_enable_extensions = []

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

# A reference to UPS must lead somewhere. Those to Python and to other libraries are names without a link, for their
# inventories would have to be fetched: the build needs no network.
nitpicky = True
_INTERNAL = (
    "runfile.framing",
    "runfile.history",
    "runfile.records",
    "runfile.run",
    "repair.missing_rows",
    "repair.mend",
    "repair.program",
)
nitpick_ignore_regex = [
    ("py:.*", r"(?!ups\b).*"),
    ("py:.*", rf"ups\.({'|'.join(_INTERNAL)}|report\.tree)\b.*"),
]
