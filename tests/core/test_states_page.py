"""docs/states.md is what the tables of transitions say."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_current() -> None:
    """After a change of the tables the page is drawn anew: python -m docs.draw_states."""
    page = runpy.run_path(str(DOCS / "draw_states.py"))["page"]()
    assert (DOCS / "states.md").read_text(encoding="utf-8") == page
