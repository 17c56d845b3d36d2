"""The runtime owns time, tasks and live sagas; it is the only place where core, store and calls meet.

Theory of operation
-------------------
A live saga is a small object, never a task. Whatever happens to it (a reply, a timer, a wish) is fed to the
machine, whose facts go to the journal and whose calls leave once the journal says that they are durable. The
journal commits the facts of all live sagas together: what gathers while one commit runs goes into the next.

Ground rules
------------
- Nothing that a decision asks for happens before its facts, and all earlier facts of its saga, are durable.
- Nobody is told of a fact that is not durable.
- A saga leaves memory when it has ended, when it sleeps, or when another coordinator turned out to own it.
"""
