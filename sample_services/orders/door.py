"""The door of the orders: one gRPC method, served by the process that begins the sagas.

The contract is protos/shop/v1/orders.proto. It has one method, which is registered here by hand.
"""

import asyncio
import signal

import grpc
from grpc.aio import ServicerContext

from amends.errors import Fault, Rejected, StartError, UsageError
from sample_services.contract import Order
from sample_services.orders.reactions import Orders
from sample_services.protos.shop.v1 import orders_pb2
from sample_services.protos.shop.v1.orders_pb2 import PlaceOrderRequest, PlaceOrderResponse

SERVICE = orders_pb2.DESCRIPTOR.services_by_name["OrdersService"].full_name
"""What the door is called in gRPC."""

GRACE_S = 2.0
"""How long a call at the door, and the events under way, may take to end when the service is to stop."""


class Door:
    """Takes orders, and begins a saga for each."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

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
        except Rejected:
            # The entry itself turns nothing down: the order was taken before, and has been cancelled since.
            pass
        except UsageError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Fault as error:
            reused = error.reason == "KEY_REUSED"
            code = grpc.StatusCode.ALREADY_EXISTS if reused else grpc.StatusCode.UNAVAILABLE
            await context.abort(code, str(error))
        return PlaceOrderResponse(order_id=request.order_id)

    async def open(self, address: str) -> grpc.aio.Server:
        """Listens at an address. Raises StartError."""
        method = grpc.unary_unary_rpc_method_handler(
            self.place,
            request_deserializer=PlaceOrderRequest.FromString,
            response_serializer=PlaceOrderResponse.SerializeToString,
        )
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"PlaceOrder": method}),)
        )
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartError(f"cannot listen at {address}: the port is in use") from error
        await server.start()
        print(f"orders: listening on {address.rpartition(':')[0]}:{port}", flush=True)
        return server


async def serve(orders: Orders, address: str) -> None:
    """Reacts to events and takes orders until SIGTERM or SIGINT. Raises StartError."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await orders.service.start()
    try:
        server = await Door(orders).open(address)
        await stopped.wait()
        await server.stop(GRACE_S)
    finally:
        await orders.service.stop(GRACE_S)
