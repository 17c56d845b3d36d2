"""A customer at the door of the orders, who asks again with the same id until there is an answer."""

import asyncio
from typing import Final, Self

import grpc

from sample_services.contract import Order
from sample_services.orders.door import SERVICE
from sample_services.protos.shop.v1.orders_pb2 import PlaceOrderRequest, PlaceOrderResponse

_PAUSE_S: Final = 0.05
"""How long to wait before asking again at a door where nobody is."""

_OPTIONS: Final = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 500))
"""What was killed in a demo is back within seconds; a customer who waits longer sees less of it."""


class Customer:
    """Places orders at an address."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._place = self._channel.unary_unary(
            f"/{SERVICE}/PlaceOrder",
            request_serializer=PlaceOrderRequest.SerializeToString,
            response_deserializer=PlaceOrderResponse.FromString,
        )

    async def place(self, order_id: str, order: Order) -> None:
        """Places an order; it is on disk when this returns.

        Raises:
            grpc.aio.AioRpcError: it is not taken; being away is no such answer.
        """
        request = PlaceOrderRequest(
            order_id=order_id,
            sku=order.sku,
            quantity=order.quantity,
            account=order.account,
            address=order.address,
            country=order.country,
        )
        while True:
            try:
                await self._place(request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()
