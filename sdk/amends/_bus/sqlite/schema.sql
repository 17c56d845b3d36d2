-- A bus in one file: what was published, and how far each consumer is with it.

-- What was published. Retention removes the oldest.
CREATE TABLE messages (
    -- The place in the bus. Never given twice, not even after the message has been removed.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,

    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    subject TEXT NOT NULL,

    -- Text by name, as a JSON object.
    headers TEXT NOT NULL,

    data BLOB NOT NULL,

    -- In seconds since 1970.
    published_at REAL NOT NULL
) STRICT;

-- Who is to receive messages, by the name that the consumer gave itself.
CREATE TABLE consumers (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,

    -- The last message that was published before the consumer was first named.
    beginning INTEGER NOT NULL,

    -- The last message that the consumer has been through: every later one is still to be delivered, and an
    -- earlier one is if it has a row in deliveries.
    position INTEGER NOT NULL
) STRICT;

-- What consumers want, as the last process that subscribed has put it.
CREATE TABLE subjects (
    consumer INTEGER NOT NULL REFERENCES consumers,
    subject TEXT NOT NULL,

    -- NULL while the subject is wanted; afterwards the message to go on after should it be wanted again.
    left_after INTEGER,

    PRIMARY KEY (consumer, subject)
) STRICT, WITHOUT ROWID;

-- The processes that listen now. One that was killed leaves its row, and another finds its bell silent.
CREATE TABLE owners (
    -- Never given twice: a process that was given up cannot settle what another one has.
    number INTEGER PRIMARY KEY AUTOINCREMENT,

    -- The consumer it takes part in.
    consumer INTEGER NOT NULL REFERENCES consumers,

    -- The name of the pipe beside the file that wakes it.
    bell TEXT NOT NULL UNIQUE
) STRICT;

-- Messages that a consumer has been through and that are not settled yet.
CREATE TABLE deliveries (
    consumer INTEGER NOT NULL REFERENCES consumers,
    sequence INTEGER NOT NULL,

    -- Those of the message.
    key TEXT NOT NULL,
    subject TEXT NOT NULL,

    -- Who has it; 0 while it waits.
    -- Invariant: messages of one key and one consumer are with one owner at most.
    owner INTEGER NOT NULL,

    -- How often it has been handed out.
    number INTEGER NOT NULL,

    -- With an owner, when its lease ends; without one, when it may be handed out. In seconds since 1970.
    due REAL NOT NULL,

    PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;

-- Finds what else there is of a key.
CREATE INDEX deliveries_by_key ON deliveries (consumer, key, sequence);

-- Finds what waits. Hardly ever holds anything.
CREATE INDEX deliveries_waiting ON deliveries (consumer, due) WHERE owner = 0;

-- Which store uses the name of a service, and until when, in seconds since 1970.
CREATE TABLE claims (
    service TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- The descriptions that services have left.
CREATE TABLE announcements (
    service TEXT PRIMARY KEY,
    description BLOB NOT NULL
) STRICT;
