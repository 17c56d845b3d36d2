"""A text of YAML as nodes, which know their lines.

It is composed into nodes, never constructed into objects: nothing in a file can name a Python type. A file is
shallow by rule, and aliases are followed only as deep as a definition goes, so that none can grow large in
memory.
"""

import yaml

from amends.errors import DefinitionError, Problem

MAX_DEPTH = 16
"""Nesting of a file; a definition needs six levels."""


class _ShallowLoader(yaml.SafeLoader):
    """Composes nodes, but no deeper than a definition goes: deeper ones would exhaust the stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # absent from the type stubs
            raise yaml.MarkedYAMLError(problem="is nested deeper than any definition", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def compose(text: str, source: str) -> yaml.Node:
    """Returns the root of a text that messages call ``source``. Raises ``DefinitionError``."""
    loader: _ShallowLoader | None = None
    try:
        loader = _ShallowLoader(text)
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise _not_yaml(words, source, line) from error
    except yaml.YAMLError as error:
        raise _not_yaml(str(error).splitlines()[0], source) from error
    except (ValueError, OverflowError) as error:  # of chr() and int(): PyYAML lets them pass
        line = loader.get_mark().line + 1 if loader else 0
        words = "there is no such character, or no number of so many digits"
        raise _not_yaml(words, source, line) from error
    if node is None:
        raise DefinitionError([Problem(description="is empty", source=source)])
    return node


def _not_yaml(words: str, source: str, line: int = 0) -> DefinitionError:
    return DefinitionError([Problem(description=f"is not valid YAML: {words}", source=source, line=line)])
