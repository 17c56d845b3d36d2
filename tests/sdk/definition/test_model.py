"""Definitions made in Python."""

from datetime import timedelta

import pytest

from amends import Definition, DefinitionError, Kind, Retry, Step
from amends.v1 import saga_pb2


def step(name: str, **options: object) -> Step:
    return Step(name, "shop", "act", **options)  # type: ignore[arg-type] # some are wrong on purpose


def problems_of(*steps: Step) -> str:
    with pytest.raises(DefinitionError) as caught:
        Definition("order", steps)
    return str(caught.value)


def test_a_definition_reads_back_from_its_message() -> None:
    """What is sent is what was defined, and what was left out stays left out."""
    order = Definition(
        "order",
        [
            step("reserve", needs=[], timeout=0.5, retry=Retry(5, 0.1, 1.5, timedelta(seconds=2))),
            step("check", needs=[], effect_free=True),
            step("charge", needs=["reserve", "check"], kind="pivot"),
            step("ship", kind=Kind.RETRIABLE),
        ],
        timeout=timedelta(minutes=2),
    )
    assert Definition.from_proto(order.to_proto()) == order
    assert order.timeout == 120
    assert order["ship"].needs is None
    assert order["ship"].kind is Kind.RETRIABLE


def test_to_proto_gives_a_message_of_its_own() -> None:
    """Who changes the message does not change the definition."""
    order = Definition("order", [step("charge")])
    order.to_proto().name = "other"
    assert order.to_proto().name == "order"


def test_durations_keep_their_milliseconds() -> None:
    """A float of seconds becomes the duration that was meant."""
    proto = step("charge", timeout=0.001, retry=Retry(initial_backoff=0.3)).to_proto()
    assert (proto.timeout.nanos, proto.retry.initial_backoff.nanos) == (1_000_000, 300_000_000)
    assert not proto.retry.HasField("max_backoff")


def test_version_is_no_content() -> None:
    """A registered definition equals the one it was registered from."""
    order = Definition("order", [step("charge")])
    proto = order.to_proto()
    proto.version = 7
    registered = Definition.from_proto(proto)
    assert (registered, registered.version, order.version) == (order, 7, 0)


def test_an_unknown_step_is_no_step() -> None:
    """A definition is looked into by the names of its steps."""
    with pytest.raises(KeyError):
        Definition("order", [step("charge")])["ship"]


def test_definitions_are_frozen() -> None:
    """A definition cannot change under the sagas that run it."""
    with pytest.raises(AttributeError):
        step("charge").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeout": 0}, "timeout is 0 s, but must be from 0.001 s to 3600 s"),
        ({"timeout": 3_601}, "timeout is 3601 s, but must be from"),
        ({"timeout": float("nan")}, "timeout is nan s, but must be from"),
        ({"timeout": 10**400}, "timeout is inf s, but must be from"),
        ({"timeout": "10s"}, "timeout is '10s', but must be a number of seconds or a timedelta"),
        ({"timeout": True}, "timeout is True, but must be a number"),
        ({"kind": "pivoot"}, "kind is 'pivoot', but must be one of compensatable, pivot, retriable"),
        ({"needs": "reserve"}, "needs is 'reserve', but must be a list of step names"),
        ({"needs": [1]}, "needs is [1], but must be a list of step names"),
        ({"effect_free": "no"}, "effect_free must be True or False"),
        ({"retry": 3}, "retry must be a Retry"),
    ],
)
def test_a_wrong_option_of_a_step_is_named(options: dict[str, object], problem: str) -> None:
    """A step says what is wrong with it when it is made."""
    with pytest.raises(DefinitionError) as caught:
        step("charge", **options)
    assert str(caught.value).startswith(f"step 'charge': {problem}")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 129, "naïve", "a\n", None])
def test_names_have_the_form_of_ids(name: str) -> None:
    """The name of a step, a participant, an action, a definition."""
    with pytest.raises(DefinitionError, match="but must be 1 to 128 characters"):
        Step(name, "shop", "act")
    with pytest.raises(DefinitionError, match="participant is"):
        Step("charge", name, "act")
    with pytest.raises(DefinitionError, match="action is"):
        Step("charge", "shop", name)
    with pytest.raises(DefinitionError, match="name is"):
        Definition(name, [step("charge")])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_attempts": 0}, "max_attempts is 0, but must be from 1 to 1000000"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5, but must be a whole number"),
        ({"initial_backoff": 3_601}, "initial_backoff is 3601 s"),
        ({"backoff_multiplier": 0.5}, "backoff_multiplier is 0.5, but must be from 1 to 100"),
        ({"backoff_multiplier": "2"}, "backoff_multiplier is '2', but must be a number"),
        ({"max_backoff": 0.05}, "max_backoff is 0.05 s, but must be from 0.1 s"),
        ({"initial_backoff": 5, "max_backoff": 4}, "max_backoff is 4 s, but must be from 5 s"),
        ({"max_backoff": 86_401}, "max_backoff is 86401 s"),
    ],
)
def test_a_wrong_retry_is_named(options: dict[str, object], problem: str) -> None:
    """A policy lies within the bounds of the contract."""
    with pytest.raises(DefinitionError) as caught:
        Retry(**options)  # type: ignore[arg-type] # wrong on purpose
    assert str(caught.value).startswith(problem)


def test_all_problems_of_a_step_come_at_once() -> None:
    """Nobody mends a step one mistake at a time."""
    with pytest.raises(DefinitionError) as caught:
        Step("", "", "act", timeout=-1)
    assert [problem.field for problem in caught.value.problems] == ["name", "participant", "timeout"]


def test_a_definition_has_steps() -> None:
    """None is too few, and 1,001 are too many."""
    assert problems_of() == "steps has 0 steps, but must have 1 to 1000"
    assert "has 1001 steps" in problems_of(*(step(f"s{n}") for n in range(1_001)))
    assert len(Definition("order", [step(f"s{n}") for n in range(1_000)]).steps) == 1_000


def test_a_timeout_of_a_definition_is_bounded() -> None:
    """A saga may take a year, leap years included, and no longer."""
    assert Definition("order", [step("charge")], timeout=timedelta(days=366)).timeout == 366 * 86_400
    with pytest.raises(DefinitionError, match="timeout is"):
        Definition("order", [step("charge")], timeout=timedelta(days=367))


def test_only_steps_are_steps() -> None:
    """A list of names is no definition."""
    with pytest.raises(DefinitionError, match="steps must be a list of Step"):
        Definition("order", ["charge"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([step("a"), step("a")], "step 'a': name repeats the name of step 1"),
        ([step("a", needs=["b"])], "step 'a': needs names 'b', which is no step here"),
        ([step("a"), step("b", needs=["a", "a"])], "step 'b': needs repeats 'a'"),
        ([step("a", needs=["a"])], "step 'a': needs is part of a cycle: a -> a"),
        ([step("a", needs=["c"]), step("b"), step("c")], "needs is part of a cycle: a -> c -> b -> a"),
        ([step("a", kind="pivot"), step("b", kind="pivot")], "step 'b': kind is a second pivot beside 'a'"),
        ([step("a", kind="retriable")], "step 'a': kind is retriable, but does not come after a pivot"),
        ([step("a", kind="retriable"), step("b", kind="pivot")], "step 'a': kind is retriable, but"),
        (
            [step("a", kind="pivot"), step("b", kind="retriable", needs=[])],
            "step 'b': kind is retriable, but",
        ),
        ([step("a", kind="pivot"), step("b")], "step 'b': kind is compensatable, but the pivot 'a' does not"),
        (
            [step("a"), step("b", kind="pivot", needs=[])],
            "step 'a': kind is compensatable, but the pivot 'b'",
        ),
    ],
)
def test_an_order_without_a_way_out_is_refused(steps: list[Step], problem: str) -> None:
    """Names, needs and kinds hang together as the saga machine requires."""
    assert problem in problems_of(*steps)


def test_a_graph_with_a_pivot_in_its_middle_is_fine() -> None:
    """Everything that can say no comes before the pivot, on whichever way; everything after it goes on."""
    steps = [
        step("a", needs=[]),
        step("b", needs=[]),
        step("c", needs=["a"]),
        step("pivot", kind="pivot", needs=["b", "c"]),
        step("d", kind="retriable", needs=["pivot"]),
        step("e", kind="retriable", needs=["d", "a"]),
    ]
    assert Definition("order", steps).steps == tuple(steps)


def test_what_a_coordinator_accepted_is_not_judged_again() -> None:
    """A newer coordinator may know better; its definitions can be read all the same."""
    proto = saga_pb2.Definition(name="order", steps=[saga_pb2.Step(name="a b")] * 2)
    assert [each.name for each in Definition.from_proto(proto).steps] == ["a b", "a b"]
