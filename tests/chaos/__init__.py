"""Chaos: real processes on real files and sockets, killed, frozen, cut off and starved at random.

``python -m tests.chaos --rounds 20`` runs it. Theory of operation:

* A round is a plan, drawn from a seed (`plan`), performed on a stage of its own (`stage`): a coordinator, two
  or three participants, customers that start sagas, and between them proxies that maltreat the connections.
* When the plan is over nothing is harmed any more. Every saga must then end or be parked by itself, and an
  operator brings the parked ones to their end (`caretaker`).
* Then everything is stopped, and what each process wrote down is read from its files (`evidence`) and
  compared, saga by saga (`verdict`): the coordinator's log, the fences, the ledgers of the effects, and the
  notebooks in which the customers kept what they had been told.

The plan and the customers' wishes follow from the seed; which instruction a signal meets does not. The same
seed again is the same plan, and not the same run.

Services that coordinate by events alone are maltreated likewise, by ``--choreography``: see
`tests.chaos.choreography`.
"""
