"""Follows sagas that services carry on by events, and shows how far they are. Never commands.

Theory of operation. Services announce what they react to; all announcements together are the *graph*. Every
event says which step ended, and how. A saga is therefore the list of its events, and where it is follows from
that list and the graph: `judging` lays one beside the other, and what is declared to follow an event and has
not been told yet is *expected*. A saga of which nothing is expected has ended.

Ground rules. `graph`, `observation`, `judging` and `saga` are pure: no I/O, no clock. The log of a saga holds
what was heard, not what was concluded from it, so a graph that becomes known later puts old judgements right.
What was read, where the reading was, and what was concluded are written in one transaction, so a restart goes
on exactly where it was. An event that is read twice is known by its source and id.
"""
