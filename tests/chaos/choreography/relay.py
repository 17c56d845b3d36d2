"""A relay's process: the command `amends`, in haste.

``python -m tests.chaos.choreography.relay relay --store STORE --bus BUS``
"""

from amends_coordinator.cli import main
from tests.chaos.choreography.haste import hurry

if __name__ == "__main__":
    hurry()
    main()
