"""For tests of your own: whole sagas in one process, without ports, files or waiting.

::

    async with LocalCoordinator(payments, inventory) as coordinator:
        saga = await coordinator.run(order, {"sku": "tea"})
        assert saga.state is SagaState.COMPENSATED

The names are loaded when they are first used: pytest imports this package in every session of everybody who
has Amends installed, whether or not it is used there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from amends_coordinator.testing._blocking import BlockingLocalCoordinator
    from amends_coordinator.testing._errors import StuckError
    from amends_coordinator.testing._faults import Faults
    from amends_coordinator.testing._local import LocalCoordinator
    from amends_coordinator.testing._plain import PlainService

__all__ = ["BlockingLocalCoordinator", "Faults", "LocalCoordinator", "PlainService", "StuckError"]

_MODULES: Final = {
    "BlockingLocalCoordinator": "_blocking",
    "Faults": "_faults",
    "LocalCoordinator": "_local",
    "PlainService": "_plain",
    "StuckError": "_errors",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
