"""Runs a process of the chaos with a fault in its code.

``python -m tests.chaos.choreography.mutated MUTANT PROGRAM ARGUMENT...``
"""

import runpy
import sys

from tests.chaos.choreography import mutants
from tests.simulation import mutating

if __name__ == "__main__":
    _, name, program, *rest = sys.argv
    mutating.install(mutants.named(name))
    sys.argv = [program, *rest]
    runpy.run_module(f"tests.chaos.choreography.{program}", run_name="__main__", alter_sys=True)
