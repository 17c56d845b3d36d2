"""The order saga, written twice."""

from __future__ import annotations

from amends import Definition
from sample_services.demo.stage import ROOT
from sample_services.shop.orders import ORDER


def test_the_saga_in_yaml_is_the_saga_in_python() -> None:
    assert Definition.from_yaml(ROOT / "sample_services" / "shop" / "order.yaml") == ORDER
