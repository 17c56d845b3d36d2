"""The bad day, from a seed: coordinator, participants and clients as they are, in a world that is made up.

Everything of ours is real: the daemon and all its rooms, the store and the fence with their SQL, the SDK's
participant and client. What lies around it is simulated, and nothing there is left to chance: time, the
network, the disk, and the processes, which die and start again.

::

    python -m tests.simulation --seeds 1000     # as many worlds; the last line counts violations
    python -m tests.simulation --seed 17        # one of them, with its story
    python -m tests.simulation --mutants        # faults put into the code, each of which must be noticed

The same seed gives the same run, to the last event. Where to find what:

* `environment` replaces what the code runs on: clock, chance, threads of SQLite, the transport of gRPC.
* `process` has processes that can be killed, `disk` what they keep, `network` what befalls messages between
  them, `rpc` and `endpoints` what gRPC is to the code; a `node` starts one process after the other.
* `plan` draws from the seed what is to happen, and `bindings` how steps call methods; `participants`,
  `clients` and `depot`, a service without Amends of which nothing but its `interface` is known, are those to
  whom it happens; `happenings` are what happens, and `world` lets it.
* `checker` watches, and objects where a promise is broken; `said` holds the log against what was answered,
  which `messages` reads. `story` tells what happened, `shrinking` makes that short.
* `mutants` are deliberate faults, by which the checks show that they can fail; `mutating` puts them in.
* `running` runs one world, `commands` as many as you like.
"""
