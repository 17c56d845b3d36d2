"""A service as a program that does more than serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DESK = """
import os, signal
from amends.choreography import EventContext, EventService, JsonEvent

service = EventService("desk", bus="sqlite:///bus.db", store="sqlite:///desk.db")

@service.entry(effect_free=True, emits=["shop.v1.Placed"])
def place(order: dict[str, str], ctx: EventContext) -> None:
    ctx.emit(JsonEvent("shop.v1.Placed", order))

class Door:
    async def __aenter__(self):
        begun = await service.begin(place, {"sku": "tea"}, saga_id="first")
        print("open,", begun.saga_id)
        os.kill(os.getpid(), signal.SIGTERM)

    async def __aexit__(self, *_):
        begun = await service.begin(place, {"sku": "tea"}, saga_id="last")
        print("closed,", begun.saga_id)

class StuckDoor(Door):
    async def __aenter__(self):
        raise StartError("the door is stuck")
"""


def run(folder: Path, last_line: str) -> subprocess.CompletedProcess[str]:
    program = f"{DESK}\n{last_line}\n"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_what_runs_alongside_a_service_can_begin_sagas_from_its_first_moment_to_its_last(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "service.serve(alongside=Door())")
    assert done.returncode == 0, done.stderr
    told = ["open, first", f"desk: listening on sqlite:///{tmp_path}/bus.db", "closed, last"]
    assert done.stdout.splitlines() == told


def test_a_service_ends_with_one_line_where_what_runs_alongside_cannot_start(tmp_path: Path) -> None:
    done = run(tmp_path, "from amends.errors import StartError; service.serve(alongside=StuckDoor())")
    assert done.returncode == 1
    assert (done.stdout, done.stderr.splitlines()[-1]) == ("", "desk: the door is stuck")
