"""The door of the orders: one gRPC method, served by the process that begins the sagas.

The contract is protos/shop/v1/orders.proto. It has one method, which is registered here by hand.
"""

from typing import Self

import grpc
from grpc.aio import ServicerContext

from amends.errors import Fault, StartError, UsageError
from sample_services.contract import Order
from sample_services.orders.reactions import Orders
from sample_services.protos.shop.v1 import orders_pb2
from sample_services.protos.shop.v1.orders_pb2 import PlaceOrderRequest, PlaceOrderResponse

SERVICE = orders_pb2.DESCRIPTOR.services_by_name["OrdersService"].full_name
"""What the door is called in gRPC."""

GRACE_S = 2.0
"""How long a call at the door may take to end when the service is to stop."""


class Door:
    """Takes orders and begins a saga for each, while it is entered.

    Args:
        orders: the service, which has to be open.
        address: where to listen, such as "127.0.0.1:50060".
    """

    def __init__(self, orders: Orders, address: str) -> None:
        self._orders = orders
        self._address = address
        self._server: grpc.aio.Server | None = None

    async def place(
        self, request: PlaceOrderRequest, context: ServicerContext[PlaceOrderRequest, PlaceOrderResponse]
    ) -> PlaceOrderResponse:
        """Answers once the order, and the event that tells of it, are on disk."""
        order = Order(
            sku=request.sku,
            quantity=request.quantity,
            account=request.account,
            address=request.address,
            country=request.country,
        )
        try:
            await self._orders.service.begin(self._orders.place, order, saga_id=request.order_id)
        except UsageError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Fault as error:
            reused = error.reason == "KEY_REUSED"
            code = grpc.StatusCode.ALREADY_EXISTS if reused else grpc.StatusCode.UNAVAILABLE
            await context.abort(code, str(error))
        return PlaceOrderResponse(order_id=request.order_id)

    async def __aenter__(self) -> Self:
        """Listens. Raises StartError."""
        method = grpc.unary_unary_rpc_method_handler(
            self.place,
            request_deserializer=PlaceOrderRequest.FromString,
            response_serializer=PlaceOrderResponse.SerializeToString,
        )
        handlers = grpc.method_handlers_generic_handler(SERVICE, {"PlaceOrder": method})
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((handlers,))
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise StartError(f"cannot listen at {self._address}: the port is in use") from error
        await self._server.start()
        print(f"orders: taking orders at {self._address.rpartition(':')[0]}:{port}", flush=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it was entered"
        await self._server.stop(GRACE_S)
