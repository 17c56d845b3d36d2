"""Runs `amends` as where CEL is not installed: ``python -m tests.bindings.without_cel ...``."""

import sys

from amends_coordinator.cli import main

if __name__ == "__main__":
    sys.modules["cel_expr_python"] = None  # type: ignore[assignment] # how Python marks what cannot be imported
    main()
