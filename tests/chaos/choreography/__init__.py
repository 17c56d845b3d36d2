"""Chaos among services that coordinate by events alone: real processes, real files, a real broker.

``python -m tests.chaos --choreography --rounds 10 --bus sqlite|nats`` runs it. Theory of operation:

* A round is a plan, drawn from a seed (`plan`), performed on a stage of its own (`stage`): four services,
  some with two processes or a relay on one store, a bus, and customers that begin sagas at a door (`door`).
* Every saga has one of two shapes (`shapes`): branches that meet before a pivot, and a line whose
  compensations are a chain. What happens to each of its steps is drawn too, and is part of its content
  (`errands`), so how it has to end is known beforehand.
* When the plan is over nothing is harmed any more. All events must then come to rest by themselves. What is
  dead is to be dead: its handler is mended now, and it is replayed as operators do it (`caretaker`).
* Then everything is stopped, and what is in the files and on the bus (`evidence`) is compared, saga by saga
  and event by event (`verdict`).

Leases and timeouts are shorter than in earnest (`haste`), so that a stop of a few seconds outlasts them.
"""
