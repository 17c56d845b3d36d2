"""Faults put into the code on purpose, to see that the checks can fail.

Each is a piece of source that is replaced by another as its module is imported, in a process of its own;
nothing of it is in the code that ships. Imports nothing of Amends, for it has to come first.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    module: str  # or the path of a file in a package
    old: str  # occurs once
    new: str

    def mutated(self, source: str) -> str:
        """Puts the fault into a source. Raises ValueError where it does not fit any more."""
        if source.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name}: its piece of {self.module} occurs {source.count(self.old)} times, and "
                "has to occur once; the code has changed, so the mutant has to change with it"
            )
        return source.replace(self.old, self.new)


MUTANTS: Sequence[Mutant] = ()
NAMES: Sequence[str] = ()
