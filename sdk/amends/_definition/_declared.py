"""Actions that a .proto file declares, as what makes the steps that call them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from amends._definition._retry import Retry
from amends._definition._step import Kind, Step

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")
SagaInputT = TypeVar("SagaInputT")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAction(Generic[InputT, ResultT]):
    """An action of an annotated service; calling it makes a step. Stub generators write these.

    ::

        order = Definition[ChargeRequest]("order", [PaymentsSteps.charge(timeout=5)])
    """

    participant: str
    """The participant that offers it, as a coordinator is expected to call it."""
    name: str
    """What steps call it by."""
    input_type: type[InputT]
    """What it takes."""
    result_type: type[ResultT]
    """What it gives."""
    description: str = ""
    """Says in a sentence what it does."""
    kind: Kind = Kind.COMPENSATABLE
    """Which way out of the saga its steps leave open, unless they say otherwise."""
    effect_free: bool = False
    """Whether there is nothing to undo."""
    timeout: float | None = None
    """Seconds for one attempt, unless a step says otherwise; None: 10 s."""
    retry: Retry | None = None
    """How attempts that end unknown are repeated, unless a step says otherwise; None: by the defaults."""

    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        participant: str | None = None,
        needs: Sequence[str] | None = None,
        kind: Kind | str | None = None,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> Step[InputT, ResultT]: ...
    @overload
    def __call__(
        self,
        name: str | None = None,
        *,
        input: Callable[[SagaInputT], InputT],
        participant: str | None = None,
        needs: Sequence[str] | None = None,
        kind: Kind | str | None = None,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> Step[SagaInputT, ResultT]: ...
    def __call__(
        self,
        name: str | None = None,
        *,
        input: Callable[[Any], InputT] | None = None,  # noqa: A002 # what it is called in the contract
        participant: str | None = None,
        needs: Sequence[str] | None = None,
        kind: Kind | str | None = None,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> Step[Any, ResultT]:
        """Makes a step that calls this action.

        Args:
            name: unique within the definition. None: the action's name.
            input: makes the step's own input from the saga's, when one is started. None: the step takes the
                saga's input, which then has to be of the type that the action takes.
            participant: what the coordinator calls the participant. None: as declared.
            needs: steps that must have succeeded before. None: the step listed before; empty: none.
            kind: which way out of the saga the step leaves open. None: as declared.
            timeout: seconds for one attempt; 1 ms to 1 h. None: as declared.
            retry: how attempts that end unknown are repeated. None: as declared.

        Raises ``DefinitionError`` that lists everything wrong with the step by itself.
        """
        return Step(
            self.name if name is None else name,
            self.participant if participant is None else participant,
            self.name,
            needs=needs,
            kind=self.kind if kind is None else kind,
            effect_free=self.effect_free,
            timeout=self.timeout if timeout is None else timeout,
            retry=self.retry if retry is None else retry,
            input_from=input,
            result_type=self.result_type,
        )
