"""Random sagas in a random world, each from a seed: a failing one is printed and replays exactly."""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.core_worlds import World, random_definition

PROFILE = settings(
    max_examples=300,
    derandomize=True,  # the same worlds on every machine; raise the number of examples to look further
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@PROFILE
@given(seed=st.integers(min_value=0, max_value=2**64))
def test_p2_p3_p4_p6_p7_p8_hold_in_every_world(seed: int) -> None:
    """Whatever is lost, delayed, repeated, crashed, cancelled or retried: the log is the saga, every call is
    legal when it is named, and once faults stop the saga ends with effects that agree, or is parked."""
    random = Random(seed)
    world = World(random, random_definition(random))
    world.live(random.randint(0, 60))
    world.calm_down()


@settings(PROFILE, max_examples=50)
@given(seed=st.integers(min_value=0, max_value=2**64))
def test_equal_inputs_give_equal_outputs(seed: int) -> None:
    """The machine is a function: a world replayed from its seed writes the same log."""
    logs = []
    for _ in range(2):
        random = Random(seed)
        world = World(random, random_definition(random))
        world.live(20)
        logs.append(world.events)
    assert logs[0] == logs[1]
