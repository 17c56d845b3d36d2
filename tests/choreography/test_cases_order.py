"""Events that come twice, late, or in another order than they were meant to."""

import asyncio
import sqlite3
import threading
from contextlib import closing

from amends._choreography.disposition import Disposition
from tests.choreography.foreign import failed, placed
from tests.choreography.shop import Wishes
from tests.choreography.stage import Child, Stage


async def either(children: list[Child], word: str) -> tuple[Child, Child]:
    """Waits until one of two says a word; returns that one first."""
    waits = {asyncio.create_task(child.says(word)): child for child in children}
    done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    [first], [second] = ([waits[task] for task in tasks] for tasks in (done, others))
    return first, second


async def test_a_failure_before_its_forward_event(stage: Stage) -> None:
    await stage.start("inventory")
    await stage.publish(failed("s"), placed("s"))
    await stage.settled["inventory"].until(2)
    await stage.watch.until_told("s", "inventory.reserve buried")
    assert stage.fences("s") == {"reserve": "TOMBSTONE"}
    assert await stage.violations() == []


async def test_a_forward_event_after_compensation(stage: Stage) -> None:
    await stage.start("inventory")
    await stage.publish(placed("s"), failed("s"), placed("s"))
    await stage.settled["inventory"].until(3)
    await stage.watch.until_told("s", "inventory.reserve compensated")
    assert stage.fences("s") == {"reserve": "COMPENSATED"}
    assert await stage.violations() == []


async def test_duplicate_failures(stage: Stage) -> None:
    await stage.start("inventory")
    same = failed("s")
    await stage.publish(placed("s"), same, failed("s"))
    await stage.publish(same)  # a bus that remembers its id leaves it out
    await stage.settled["inventory"].until(3)
    await stage.watch.until_told("s", "inventory.reserve compensated")
    assert await stage.violations() == []


async def test_a_compensation_concurrent_with_the_late_success_of_its_step(sqlite_stage: Stage) -> None:
    stage, reached, let_go = sqlite_stage, threading.Event(), threading.Event()

    def stall() -> None:
        reached.set()
        assert let_go.wait(20)

    stage.shop.wishes = Wishes(stalls={"reserve": stall})
    late, prompt = stage.shop.make("inventory"), stage.shop.make("inventory")
    await late.open()
    await prompt.open()
    try:
        trying = asyncio.create_task(late.handle(placed("s", "stall:reserve")))
        await asyncio.to_thread(reached.wait)
        compensating = asyncio.create_task(prompt.handle(failed("s")))
        let_go.set()
        assert await asyncio.gather(trying, compensating) == [Disposition.DONE, Disposition.DONE]
    finally:
        await late.stop()
        await prompt.stop()
    assert stage.fences("s") == {"reserve": "COMPENSATED"}
    kinds = [what for (what,) in stage.ask("inventory", "SELECT what FROM lines ORDER BY rowid")]
    assert kinds == ["applied", "undone"]


async def test_an_inbox_that_was_purged_and_an_old_message_that_is_replayed(stage: Stage) -> None:
    await stage.start("inventory")
    old, old_failure = placed("s"), failed("s")
    await stage.publish(old, old_failure)
    await stage.settled["inventory"].until(2)
    inventory = stage.services["inventory"]
    with closing(sqlite3.connect(stage.shop.store("inventory"))) as db:
        db.execute("DELETE FROM amends_inbox")
        db.commit()
    assert await inventory.handle(old) is Disposition.DONE
    assert await inventory.handle(old_failure) is Disposition.DONE
    assert stage.fences("s") == {"reserve": "COMPENSATED"}
    assert await stage.violations() == []


async def test_one_event_at_two_workers_at_once(stage: Stage) -> None:
    """The first holds it past its lease, within its handler; the bus gives it to the second meanwhile."""
    workers = [await stage.child("inventory", point="reserve", tell_fetched=True) for _ in range(2)]
    await stage.publish(placed("s", "stall:reserve"))
    first, second = await either(workers, "at reserve")
    first.freeze()
    await second.says("fetched s")
    first.thaw()
    first.go()
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    assert "at reserve" not in second.said
    assert await stage.violations() == []


async def test_clocks_an_hour_apart(stage: Stage) -> None:
    """Each service lives in its own time; nothing that matters is decided by comparing two of them."""
    await stage.start_others("inventory", "shipping")
    await stage.child("inventory", skew=-3600.0)
    await stage.child("shipping", skew=3600.0)
    await stage.place_both("fail:reserve:1", "fail:ship:1", "fail-undo:reserve:1")
    await stage.both_end()
    assert await stage.violations() == []


async def test_shutdown_with_messages_in_flight(stage: Stage) -> None:
    """What a service has taken it finishes, tells the bus, and publishes what follows."""
    child = await stage.child("inventory", point="reserve")
    await stage.publish(placed("s", "stall:reserve"))
    await child.says("at reserve")
    child.process.terminate()
    child.go()
    assert await child.stop() == 0
    assert stage.ask("inventory", "SELECT count(*) FROM amends_outbox WHERE sent_at IS NULL") == [(0,)]
    await stage.watch.until_told("s", "inventory.reserve succeeded")
    successor = await stage.child("inventory", tell_fetched=True)
    await stage.publish(placed("next"))
    await successor.says("fetched")
    assert successor.said[-1] == "fetched next"  # the other was acknowledged
    await stage.watch.until_told("next", "inventory.reserve succeeded")
    assert await stage.violations() == []


async def test_ids_beyond_ascii(stage: Stage) -> None:
    sagas = ["Bestellung-Größe-№7", "注文42", "100%/a", 'with"quotes"', "\U0001f600" * 128]
    await stage.start()
    for saga in sagas:
        await stage.place(saga, "reject:ship")
    for saga in sagas:
        await stage.turned_back(saga, "shipping")
        assert stage.fences(saga)["reserve"] == "COMPENSATED"
    assert await stage.violations() == []
