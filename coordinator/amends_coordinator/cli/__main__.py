"""Runs the command where it is not on the path: `python -m amends_coordinator.cli`."""

from amends_coordinator.cli import main

if __name__ == "__main__":
    main()
