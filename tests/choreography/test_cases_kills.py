"""A process of a service dies between two instructions, and another takes its place."""

from tests.choreography.stage import Stage


async def test_kill_between_commit_and_publish(stage: Stage) -> None:
    await stage.start_others("inventory")
    killed = await stage.child("inventory", point="publish")
    await stage.place_both()
    await killed.says("at publish")
    await killed.kill()
    assert {sent for (sent,) in stage.ask("inventory", "SELECT sent_at FROM amends_outbox")} == {None}
    await stage.child("inventory")
    await stage.both_end()
    assert await stage.violations() == []


async def test_kill_between_publish_and_marking_sent(stage: Stage) -> None:
    await stage.start_others("inventory")
    killed = await stage.child("inventory", point="published")
    await stage.place_both()
    await killed.says("at published")
    await killed.kill()
    assert {sent for (sent,) in stage.ask("inventory", "SELECT sent_at FROM amends_outbox")} == {None}
    await stage.child("inventory")
    await stage.both_end()
    assert await stage.violations() == []


async def test_kill_between_handler_commit_and_acknowledgement(stage: Stage) -> None:
    await stage.start_others("inventory")
    killed = await stage.child("inventory", point="settle")
    await stage.place("good")
    await killed.says("at settle")
    assert stage.ask("inventory", "SELECT state FROM amends_inbox") == [("DONE",)]
    await killed.kill()
    successor = await stage.child("inventory", tell_fetched=True)
    await successor.says("fetched good")
    await stage.place("bad", "reject:ship")
    await stage.both_end()
    assert await stage.violations() == []


async def test_kill_within_a_handler(stage: Stage) -> None:
    await stage.start_others("inventory")
    killed = await stage.child("inventory", point="reserve")
    await stage.place_both("stall:reserve")
    await killed.says("at reserve")
    await killed.kill()
    assert stage.ask("inventory", "SELECT * FROM lines") == []
    await stage.child("inventory")
    await stage.both_end()
    assert await stage.violations() == []


async def test_kill_between_the_commit_of_an_entry_and_publish(stage: Stage) -> None:
    await stage.start_others("orders")
    killed = await stage.child("orders", point="publish", begin={"good": [], "bad": ["reject:ship"]})
    await killed.says("at publish")
    await killed.says("began bad")
    await killed.kill()
    assert not stage.watch.events
    await stage.child("orders")
    await stage.both_end()
    assert await stage.violations() == []
