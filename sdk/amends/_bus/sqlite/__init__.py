"""A bus in one SQLite file, for the processes of one machine; no server.

Ground rules:

* Publishing is one transaction and one fsync for a batch. Nothing that consumers write is synced: what a
  power cut takes of it is an acknowledgement, and the message comes again. A process that is killed loses
  neither.
* A consumer goes through the log by its position. What it has passed and not settled has a row of its own,
  with the owner who has it and the end of the lease; settling removes the row.
* While one owner has a message of a key, nobody else is given another of that key. Those wait in rows
  without an owner, as does what came back.
* Each owner keeps a named pipe open beside the file, its bell. Whoever publishes writes into it, which wakes
  the owner at once; and a pipe that nobody has open tells that its owner is dead, long before its leases run
  out. The kernel closes it, whatever the process died of. A bell may fail to ring: every owner also looks by
  itself, twice a second.
"""

from amends._bus.sqlite.bus import SqliteBus

__all__ = ["SqliteBus"]
