"""Clients of a coordinator: start, watch, cancel and repair sagas.

``_saga`` and ``_event`` are what a client returns, ``_channel`` and ``_outage`` how it reaches a coordinator
and what it does while it cannot, ``_errors`` the one place where statuses become exceptions, ``_requests``
how arguments become messages. ``_client`` puts them together; ``_starter`` starts at a high rate;
``_blocking`` is the same client for synchronous code.
"""
