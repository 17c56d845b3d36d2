"""Definitions by name. The newest of each is remembered; this coordinator is the only one to change them."""

from amends_coordinator.core.definition import Definition
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.errors import NotFoundError
from amends_coordinator.store.interface import Store
from amends_coordinator.timers import Timers


class Registry:
    """Stores definitions and finds them again."""

    def __init__(self, store: Store, admission: Admission, timers: Timers) -> None:
        """Keeps definitions in a store."""
        self._store = store
        self._admission = admission
        self._timers = timers
        self._newest: dict[str, Definition] = {}

    def newest(self, name: str) -> Definition | None:
        """The newest version under a name, if it is remembered."""
        return self._newest.get(name)

    async def get(self, name: str) -> Definition:
        """The newest version under a name. Raises NotFoundError."""
        found, _ = await self.get_version(name, 0)
        # A newer one may have been registered while we read.
        return self._newest.setdefault(name, found)

    async def get_version(self, name: str, version: int) -> tuple[Definition, float]:
        """A version, and when it was registered; 0 is the newest. Raises NotFoundError."""
        found = await self._store.get_definition(name, version)
        if found is None:
            which = f"version {version} of definition" if version else "definition"
            raise NotFoundError(
                "DEFINITION_NOT_FOUND",
                f"there is no {which} {name!r}; register it, or send it with the start",
            )
        return found

    async def register(self, definition: Definition) -> tuple[Definition, float]:
        """Admits a definition and stores it, as the next version unless it is the newest already.

        Raises:
            InvalidRequestError: it cannot run here.
            UnavailableError: whether it can, a participant would have to say that does not answer.
        """
        admitted = await self._admission.admit(definition)
        stored, time = await self._store.put_definition(admitted, self._timers.now())
        self._newest[stored.name] = stored
        return stored, time

    async def list(self, after_name: str, limit: int) -> list[tuple[Definition, float]]:
        """A page of the newest versions, by name."""
        return await self._store.list_definitions(after_name, limit)
