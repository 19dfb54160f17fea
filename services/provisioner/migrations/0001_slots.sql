-- A slot is a role with a place for a schema. Rows are made in batches together with their roles and never removed.
CREATE TABLE provisioner.slots (
    id           integer PRIMARY KEY CHECK (id > 0),
    role_name    text NOT NULL UNIQUE,
    state        text NOT NULL DEFAULT 'empty' CHECK (state IN ('empty', 'preparing', 'ready', 'claimed', 'gone')),
    schema_name  text UNIQUE,
    -- Schemas made in this slot so far: their names never repeat.
    generation   integer NOT NULL DEFAULT 0,
    -- Sessions that lived in the present schema.
    uses         integer NOT NULL DEFAULT 0,
    -- Of the DDL that made the schema, and of the catalogue rows that came of it.
    fingerprint  text,
    imprint      text,
    session_id   uuid UNIQUE,
    modules      text[] NOT NULL DEFAULT '{}',
    -- A gone schema that is not to be used again.
    discard      boolean NOT NULL DEFAULT false,
    -- How often emptying or dropping had to give up, and when it is tried again.
    attempts     integer NOT NULL DEFAULT 0,
    retry_at     timestamptz NOT NULL DEFAULT '-infinity',
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'empty') = (schema_name IS NULL)),
    CHECK ((state = 'claimed') = (session_id IS NOT NULL))
);
CREATE INDEX ON provisioner.slots (state, updated_at);

-- What an operator set; no row: POOL_TARGET counts.
CREATE TABLE provisioner.pool (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    target   integer NOT NULL CHECK (target >= 0)
);

-- The DDL of the replica that started last is the present one.
CREATE TABLE provisioner.fingerprints (
    fingerprint text PRIMARY KEY,
    started_at  timestamptz NOT NULL
);
