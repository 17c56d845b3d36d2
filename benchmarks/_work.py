"""What the benchmarks run: sagas of three steps with 200 bytes each, and one daemon to drive them."""

from typing import Final

from google.protobuf.wrappers_pb2 import BytesValue

from amends import Definition, Step
from benchmarks._profiler import profiled
from benchmarks._workspace import Program, Workspace

CONTENT_BYTES: Final = 200
"""The input and the result of every step, without the few bytes in which protobuf wraps them."""

REJECT: Final = b"reject"
"""How content begins that the last step turns down."""

LAST_STEP: Final = "third"
"""The step that turns content down."""

LONG_S: Final = 3_600.0
"""Seconds that no benchmark takes."""

LATER_S: Final = 55.0
"""Seconds until an undecided call is asked again: more than a benchmark takes, and less than would have the
daemon drop the saga from memory."""

PARTICIPANT: Final = "bench"
"""The participant of every step, unless a benchmark needs a second one."""

SILENT: Final = "silent"
"""The participant that never answers."""

COMPLETES: Final = BytesValue(value=b"accept".ljust(CONTENT_BYTES, b"."))
"""The input of a saga that completes."""

IS_COMPENSATED: Final = BytesValue(value=REJECT.ljust(CONTENT_BYTES, b"."))
"""The input of a saga that is rejected at its last step."""

THREE_STEPS: Final = Definition(
    "three-steps", [Step(name, PARTICIPANT, "apply") for name in ("first", "second", LAST_STEP)]
)
"""The definition that speed is measured with."""

DECIDED_LATER: Final = Definition(
    "decided-later",
    [
        Step("first", PARTICIPANT, "apply"),
        Step("second", PARTICIPANT, "decide_later"),
        Step(LAST_STEP, PARTICIPANT, "apply"),
    ],
)
"""Sagas of it wait, after their first step, until they may ask again."""

NEVER_ANSWERED: Final = Definition(
    "never-answered",
    [
        Step("first", PARTICIPANT, "apply"),
        Step("second", SILENT, "apply", timeout=LONG_S),
        Step(LAST_STEP, PARTICIPANT, "apply"),
    ],
)
"""Sagas of it have a call in flight, after their first step."""


async def start_participant(
    workspace: Workspace,
    name: str = PARTICIPANT,
    *options: str,
    module: str = "benchmarks._participant",
    profile: bool = False,
    environment: dict[str, str] | None = None,
) -> Program:
    """Starts a participant as a process."""
    command = [module, name, str(workspace.folder), *options]
    if profile:
        command = profiled(workspace.folder / name, command)
    return await workspace.start(name, *command, environment=environment)


async def start_daemon(
    workspace: Workspace,
    *participants: Program,
    store: str = "coordinator.db",
    options: tuple[str, ...] = (),
    profile: bool = False,
    environment: dict[str, str] | None = None,
) -> Program:
    """Starts the daemon as a process, with these participants and a store in the workspace."""
    command = ["amends_coordinator.cli", "serve", "--listen", "127.0.0.1:0", "--metrics", "off"]
    command += ["--store", f"sqlite:///{workspace.folder / store}", *options]
    for participant in participants:
        command += ["--participant", f"{participant.name}={participant.address}"]
    if profile:
        command = profiled(workspace.folder / "daemon", command)
    return await workspace.start("daemon", *command, environment=environment)
