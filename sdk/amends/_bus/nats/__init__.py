"""The bus on NATS JetStream, https://docs.nats.io/nats-concepts/jetstream.

Everything lies in one stream, spread over partitions by key. A service takes part through one durable
consumer for each partition, and each of them has one message at a time on its way: that is what keeps the
order of a key whatever is delivered again, at the price that a key is held up by others of its partition.

What is asked of the server goes over one connection (`session`). A connection that breaks is
never mended: a new one takes its place (`connection`), and nothing that was meant for the old one comes late.
"""

from amends._bus.nats.bus import NatsBus

__all__ = ["NatsBus"]
