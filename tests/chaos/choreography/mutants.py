"""Faults put into the services' SDK on purpose, one at a time, to see that the verdict can be one of guilty.

See `tests.simulation.mutants` for how. This imports nothing of Amends, for it has to come first.
"""

from typing import Final

from tests.simulation.mutants import Mutant

MUTANTS: Final = (
    Mutant(
        "answer before the entry is durable",
        "P1, P10",
        "amends._choreography.engine",
        "        answer = await waiter\n        if isinstance(answer, BaseException):\n",
        "        answer = Begun(chosen, None, False)\n        if isinstance(answer, BaseException):\n",
    ),
    Mutant(
        "acknowledge before the commit",
        "P2",
        "amends._choreography.consuming",
        "        self._in_flight.update((id(delivery), delivery) for delivery in deliveries)\n",
        "        self._in_flight.update((id(delivery), delivery) for delivery in deliveries)\n"
        "        for delivery in deliveries:\n"
        "            self._settlements.append(Settlement(delivery=delivery, verdict=Verdict.ACK))\n"
        "        self._changed.set()\n",
    ),
    Mutant(
        "mark as sent before it is published",
        "P2",
        "amends._choreography.relay",
        '        headers = [row.message.headers.get("traceparent", "") for row in rows]\n',
        '        early = [(row, Receipt(stream="", sequence=0)) for row in rows]\n'
        "        await self._between(lambda ledger: self._mark(ledger, early, []))\n"
        '        headers = [row.message.headers.get("traceparent", "") for row in rows]\n',
    ),
    Mutant(
        "forget what is to be tried again",
        "P2",
        "amends._choreography.reacting",
        "            self.inbox.put_off(db, number, message, attempts, str(problem), now + wait, now)\n",
        "",
    ),
    Mutant(
        "keep the effect of a rejection",
        "P3",
        "amends._choreography.step",
        "        ledger.undo()\n        rejected = ",
        "        ledger.release()\n        rejected = ",
    ),
    Mutant(
        "keep the effect of a failure",
        "P4",
        "amends._choreography.reacting",
        "            ledger.undo()\n            return self._put_aside",
        "            ledger.release()\n            return self._put_aside",
    ),
    Mutant(
        "write no fence",
        "P4",
        "amends._choreography.reacting",
        "        ledger.put(key, row)\n",
        "        pass\n",
    ),
    Mutant(
        "bury nothing",
        "P5",
        "amends._choreography.step",
        '        effects.rows[key] = Row(State.TOMBSTONE, reaction.name, b"", b"")\n',
        "",
    ),
    Mutant(
        "run a reaction over a tombstone",
        "P5",
        "amends._fence.decision",
        "    if row is None:\n        return ON_TRY[None]",
        "    if row is None or row.state is State.TOMBSTONE:\n        return ON_TRY[None]",
    ),
    Mutant(
        "undo again what is undone",
        "P4",
        "amends._fence.decision",
        "    State.COMPENSATED: Deed.CONFIRM,",
        "    State.COMPENSATED: Deed.UNDO,",
    ),
    Mutant(
        "give an event a new id whenever it is published",
        "P7",
        "amends._choreography.outbox",
        "            Message(id=event_id, key=saga_id, subject=subject, "
        "headers=json.loads(headers), data=data),\n",
        "            Message(\n"
        "                id=f'{event_id}-{now}', key=saga_id, subject=subject, data=data,\n"
        "                headers={**json.loads(headers), 'ce-id': f'{event_id}-{now}'.partition('/')[2]},\n"
        "            ),\n",
    ),
    Mutant(
        "publish the newest first",
        "P6",
        "amends._choreography.queries",
        "ORDER BY number LIMIT ?3\n",
        "ORDER BY number DESC LIMIT ?3\n",
    ),
    Mutant(
        "bury an event without a letter",
        "P12",
        "amends._choreography.reacting",
        "        outbox.enqueue(db, [self._telling(letter, saga_id)], now)\n",
        "",
    ),
    Mutant(
        "leave behind what is parked",
        "P2",
        "amends._choreography.inbox",
        "        db.execute(queries.FINISH, (int(now), number))\n        self.unpark(db, saga_id, now)\n",
        "        db.execute(queries.FINISH, (int(now), number))\n",
    ),
    Mutant(
        "forget what a dead process had",
        "P2",
        "amends._bus.sqlite.joining",
        "UPDATE deliveries SET owner = 0, due = 0 WHERE owner = ?",
        "DELETE FROM deliveries WHERE owner = ?",
    ),
)

NAMES: Final = tuple(mutant.name for mutant in MUTANTS)


def named(name: str) -> Mutant:
    """Finds a mutant. Raises ValueError if there is none of this name."""
    for mutant in MUTANTS:
        if mutant.name == name:
            return mutant
    raise ValueError(f"there is no mutant {name!r}; there are: {', '.join(NAMES)}")
