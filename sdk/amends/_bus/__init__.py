"""How events get from one service to another: the interface of a bus, SQLite and NATS JetStream."""
