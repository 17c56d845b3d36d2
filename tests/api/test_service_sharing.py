"""What sagas share of what their definitions keep."""

import pytest

from tests.api.service_world import service
from tests.api.test_service_methods import order, shipping
from tests.descriptors import acme
from tests.runtime.runtime_world import HOLD


@pytest.mark.parametrize("sent", [True, False])
async def test_sagas_of_definitions_that_differ_hold_the_same_descriptors_once(sent: bool) -> None:
    """Sent with each, or told by the service, as where every saga has a timeout of its own."""
    async with service() as s:
        s.shop.files = acme.files()
        s.shop.script[""] = HOLD  # a step that calls methods names no action
        for number in range(3):
            definition = shipping(descriptors=acme.files()) if sent else shipping()
            definition.timeout.FromSeconds(60 + number)
            await s.begin(f"s{number}", definition=definition, input=order())
        live = [each.saga.definition for each in s.runtime.lives()]
        assert len({each.timeout for each in live}) == 3
        assert live[0].descriptors
        assert len({id(each.descriptors) for each in live}) == 1
