-- Customer support: tickets with their history, help articles, canned responses and service levels.

CREATE TABLE helpdesk_categories (
    id               uuid PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    slug             text NOT NULL UNIQUE,
    description      text,
    color            text NOT NULL DEFAULT '#64748b',
    default_priority text NOT NULL DEFAULT 'normal' CHECK (default_priority IN ('low', 'normal', 'high', 'urgent')),
    position         integer NOT NULL DEFAULT 0,
    is_active        boolean NOT NULL DEFAULT true,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE helpdesk_agents (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL UNIQUE REFERENCES users ON DELETE CASCADE,
    title            text,
    max_open_tickets integer NOT NULL DEFAULT 20,
    is_active        boolean NOT NULL DEFAULT true,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE helpdesk_sla_policies (
    id                     uuid PRIMARY KEY,
    priority               text NOT NULL UNIQUE CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    first_response_minutes integer NOT NULL,
    resolution_minutes     integer NOT NULL,
    is_active              boolean NOT NULL DEFAULT true,
    version                integer NOT NULL DEFAULT 1,
    created_at             timestamptz(3) NOT NULL DEFAULT now(),
    updated_at             timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT helpdesk_sla_policies_resolution_minutes_check CHECK (resolution_minutes >= first_response_minutes)
);

-- The resolution timer stands still while pending: paused_at since when, paused_seconds in earlier pauses.
CREATE TABLE helpdesk_tickets (
    id                    uuid PRIMARY KEY,
    number                text NOT NULL UNIQUE,
    subject               text NOT NULL,
    description           text NOT NULL,
    requester_id          uuid REFERENCES users ON DELETE SET NULL,
    requester_name        text NOT NULL,
    requester_email       text NOT NULL,
    category_id           uuid NOT NULL REFERENCES helpdesk_categories ON DELETE RESTRICT,
    priority              text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    status                text NOT NULL DEFAULT 'new'
                              CHECK (status IN ('new', 'open', 'pending', 'resolved', 'closed')),
    agent_id              uuid REFERENCES helpdesk_agents ON DELETE SET NULL,
    attachment_id         uuid REFERENCES uploads ON DELETE SET NULL,
    first_response_due_at timestamptz(3),
    resolution_due_at     timestamptz(3),
    paused_at             timestamptz(3),
    paused_seconds        integer NOT NULL DEFAULT 0,
    first_responded_at    timestamptz(3),
    resolved_at           timestamptz(3),
    closed_at             timestamptz(3),
    rating                integer,
    rating_comment        text,
    version               integer NOT NULL DEFAULT 1,
    created_at            timestamptz(3) NOT NULL DEFAULT now(),
    updated_at            timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON helpdesk_tickets (status, priority, created_at);
CREATE INDEX ON helpdesk_tickets (agent_id, status);
CREATE INDEX ON helpdesk_tickets (requester_id, created_at);
CREATE INDEX ON helpdesk_tickets (resolution_due_at);

CREATE TABLE helpdesk_ticket_messages (
    id            uuid PRIMARY KEY,
    ticket_id     uuid NOT NULL REFERENCES helpdesk_tickets ON DELETE CASCADE,
    author_id     uuid REFERENCES users ON DELETE SET NULL,
    author_name   text NOT NULL,
    author_kind   text NOT NULL CHECK (author_kind IN ('requester', 'agent', 'system')),
    body          text NOT NULL,
    is_internal   boolean NOT NULL DEFAULT false,
    attachment_id uuid REFERENCES uploads ON DELETE SET NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON helpdesk_ticket_messages (ticket_id, created_at);

CREATE TABLE helpdesk_ticket_events (
    id         uuid PRIMARY KEY,
    ticket_id  uuid NOT NULL REFERENCES helpdesk_tickets ON DELETE CASCADE,
    kind       text NOT NULL
                   CHECK (kind IN ('created', 'assigned',
                       'status_changed', 'priority_changed', 'category_changed', 'rated')),
    from_value text,
    to_value   text,
    actor_id   uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON helpdesk_ticket_events (ticket_id, created_at);

CREATE TABLE helpdesk_articles (
    id                uuid PRIMARY KEY,
    title             text NOT NULL,
    slug              text NOT NULL UNIQUE,
    excerpt           text,
    body              text NOT NULL,
    category_id       uuid NOT NULL REFERENCES helpdesk_categories ON DELETE RESTRICT,
    status            text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'archived')),
    author_id         uuid REFERENCES users ON DELETE SET NULL,
    is_featured       boolean NOT NULL DEFAULT false,
    view_count        integer NOT NULL DEFAULT 0,
    helpful_count     integer NOT NULL DEFAULT 0,
    not_helpful_count integer NOT NULL DEFAULT 0,
    published_at      timestamptz(3),
    version           integer NOT NULL DEFAULT 1,
    created_at        timestamptz(3) NOT NULL DEFAULT now(),
    updated_at        timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON helpdesk_articles (status, category_id);
CREATE INDEX ON helpdesk_articles (status, published_at);

CREATE TABLE helpdesk_article_votes (
    id         uuid PRIMARY KEY,
    article_id uuid NOT NULL REFERENCES helpdesk_articles ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    is_helpful boolean NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (article_id, user_id)
);

CREATE TABLE helpdesk_canned_responses (
    id            uuid PRIMARY KEY,
    title         text NOT NULL,
    shortcut      text NOT NULL UNIQUE,
    body          text NOT NULL,
    category_id   uuid REFERENCES helpdesk_categories ON DELETE SET NULL,
    usage_count   integer NOT NULL DEFAULT 0,
    created_by_id uuid REFERENCES users ON DELETE SET NULL,
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);
