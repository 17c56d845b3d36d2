"""What a saga does: definitions and their steps, from Python and from YAML.

``_model`` holds the values, ``_checks`` every rule they obey, once, and ``_yaml`` reads them from text and
tells the lines.
"""

from amends._definition._model import Definition, Kind, Retry, Step

__all__ = ["Definition", "Kind", "Retry", "Step"]
