"""Runs the service: `python -m sample_services.carrier --help`."""

import argparse
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import grpc
from grpc_reflection.v1alpha import reflection

from sample_services.carrier import ledger
from sample_services.carrier.carrier_pb2 import DESCRIPTOR
from sample_services.carrier.carrier_pb2_grpc import add_CarrierServicer_to_server
from sample_services.carrier.service import CarrierService

GRACE_S: Final = 2.0
"""How long calls under way may take to end when the service is asked to stop."""

_SCHEME: Final = "sqlite:///"
_THREADS: Final = 4
"""Calls at once: they wait for each other at the ledger anyway."""


def main() -> int:
    """Serves, or shows the ledger; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_services.carrier", description="Takes parcels, or shows its ledger."
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="default: any free port")
    parser.add_argument("--store", default="sqlite:///carrier.db", metavar="sqlite:///FILE")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="show the ledger in FILE, and end")
    options = parser.parse_args()
    try:
        if options.ledger:
            return show(options.ledger)
        if not options.store.startswith(_SCHEME):
            parser.error(f"--store is {_SCHEME}FILE, not {options.store}")
        return serve(options.listen, Path(options.store.removeprefix(_SCHEME)))
    except (OSError, sqlite3.Error) as error:
        print(f"carrier: {error}", file=sys.stderr)
        return 1


def serve(address: str, path: Path) -> int:
    """Serves until a signal asks it to stop. Raises OSError, or sqlite3.Error of the ledger."""
    # Before there are threads, which inherit it: the signals are for the wait below alone.
    signals = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    ledger.make(path)
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
    add_CarrierServicer_to_server(CarrierService(path), server)
    name = DESCRIPTOR.services_by_name["Carrier"].full_name
    reflection.enable_server_reflection((name, reflection.SERVICE_NAME), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen at {address}") from error
    server.start()
    print(f"carrier: listening on {address.rpartition(':')[0]}:{port}", flush=True)
    signal.sigwait(signals)
    server.stop(GRACE_S).wait()
    return 0


def show(path: Path) -> int:
    """Prints all bookings. Raises FileNotFoundError or sqlite3.DatabaseError."""
    print(f"{'booking':<10}{'cents':>8}  {'':<11}order")
    for entry in ledger.read(path):
        state = "cancelled" if entry.cancelled else "booked"
        print(f"{entry.booking_id:<10}{entry.price_cents:>8}  {state:<11}{entry.order_ref}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
