-- One row a session. Schema and role are what the provisioner answered; the token itself is nowhere.
CREATE TABLE control.sessions (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    selected_features text[] NOT NULL,
    ignored_features text[] NOT NULL,
    tier text NOT NULL,
    template_slug text,
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('PENDING', 'PROVISIONING', 'READY', 'FAILED', 'DROPPED')),
    -- PENDING until somebody asks for it (provisionSchema: false).
    deferred boolean NOT NULL DEFAULT false,
    schema_name text,
    role_name text,
    -- Rises with every change of schema, role or features.
    generation bigint NOT NULL DEFAULT 0,
    -- The address, or the /64 network, whose limits it counts against.
    client_network text NOT NULL,
    created_at timestamptz NOT NULL,
    ready_at timestamptz,
    last_accessed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    failure_code text,
    failure_message text,
    -- When a replica last took it up to prepare it; after a while another one may.
    worked_at timestamptz,
    -- When a restart began that has not ended yet.
    restarting_since timestamptz,
    -- Over, and the provisioner has not said yet that the schema is gone.
    drop_due boolean NOT NULL DEFAULT false,
    CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CHECK (status <> 'READY' OR (schema_name IS NOT NULL AND role_name IS NOT NULL AND ready_at IS NOT NULL)),
    CHECK ((status = 'DROPPED') = (ended_at IS NOT NULL))
);
CREATE INDEX sessions_live ON control.sessions (client_network) WHERE status IN ('PENDING', 'PROVISIONING', 'READY');
CREATE INDEX sessions_unended ON control.sessions (expires_at) WHERE status <> 'DROPPED';
CREATE INDEX sessions_drop_due ON control.sessions (id) WHERE drop_due;
CREATE INDEX sessions_ended ON control.sessions (ended_at) WHERE status = 'DROPPED';

-- What happened to a session, in one order: events of clients resume by it.
CREATE SEQUENCE control.history AS bigint;

CREATE TABLE control.session_transitions (
    id bigint PRIMARY KEY DEFAULT nextval('control.history'),
    session_id uuid NOT NULL REFERENCES control.sessions ON DELETE CASCADE,
    at timestamptz NOT NULL,
    from_status text,
    to_status text NOT NULL,
    reason text NOT NULL,
    replica text NOT NULL
);
CREATE INDEX session_transitions_session ON control.session_transitions (session_id, id);

-- Changes without a change of state: features, tier, a later end, a restart.
CREATE TABLE control.session_changes (
    id bigint PRIMARY KEY DEFAULT nextval('control.history'),
    session_id uuid NOT NULL REFERENCES control.sessions ON DELETE CASCADE,
    at timestamptz NOT NULL,
    kind text NOT NULL CHECK (kind IN ('UPDATED', 'EXTENDED', 'RESTARTING', 'RESTARTED')),
    replica text NOT NULL
);
CREATE INDEX session_changes_session ON control.session_changes (session_id, id);

-- For the rate of creations by address; kept for an hour.
CREATE TABLE control.creations (
    client_network text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX creations_network ON control.creations (client_network, at);
CREATE INDEX creations_at ON control.creations (at);

-- Keys of creations, kept for 24 hours. The nonce makes the session's token again, together with the key.
CREATE TABLE control.idempotency_keys (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    nonce bytea NOT NULL CHECK (octet_length(nonce) = 32),
    session_id uuid NOT NULL REFERENCES control.sessions ON DELETE CASCADE,
    created_at timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_session ON control.idempotency_keys (session_id);
CREATE INDEX idempotency_keys_created ON control.idempotency_keys (created_at);
