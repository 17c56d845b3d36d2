"""The annotations, read by mypy as a user's would be."""

from pathlib import Path

from mypy import api


def test_annotations_accept_and_refuse_what_they_should() -> None:
    """The examples are checked strictly, with the project's own settings."""
    root = Path(__file__).parents[3]
    options = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache")]
    told, broken, status = api.run([*options, str(Path(__file__).with_name("typing_examples.py"))])
    assert (status, broken) == (0, ""), told
