"""The command `amends`, in haste: relays and the tracker are processes of it.

``python -m tests.chaos.choreography.command relay|serve OPTION...``
"""

from amends_coordinator.cli import main
from tests.chaos.choreography.haste import hurry

if __name__ == "__main__":
    hurry()
    main()
