"""What a saga does: definitions and their steps, from Python and from YAML.

``_model`` holds the values, ``_checks`` every rule they obey, once, and ``_yaml`` reads them from text and
tells the lines. ``_declared`` makes typed steps, for code that is generated from annotated services.
"""

from amends._definition._declared import DeclaredAction
from amends._definition._model import Definition, Kind, Retry, Step

__all__ = ["DeclaredAction", "Definition", "Kind", "Retry", "Step"]
