-- Events: venues, programme, ticket types, registrations with a waitlist, and tickets.

CREATE TABLE events_venues (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    kind       text NOT NULL DEFAULT 'physical' CHECK (kind IN ('physical', 'online')),
    address    jsonb,
    city       text,
    capacity   integer NOT NULL,
    directions text,
    image_id   uuid REFERENCES uploads ON DELETE SET NULL,
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE events_events (
    id                     uuid PRIMARY KEY,
    title                  text NOT NULL,
    slug                   text NOT NULL UNIQUE,
    summary                text,
    description            text,
    category               text,
    venue_id               uuid NOT NULL REFERENCES events_venues ON DELETE RESTRICT,
    starts_at              timestamptz(3) NOT NULL,
    ends_at                timestamptz(3) NOT NULL,
    timezone               text NOT NULL DEFAULT 'UTC',
    capacity               integer NOT NULL,
    registration_opens_at  timestamptz(3),
    registration_closes_at timestamptz(3),
    cover_id               uuid REFERENCES uploads ON DELETE SET NULL,
    organizer_id           uuid REFERENCES users ON DELETE SET NULL,
    status                 text NOT NULL DEFAULT 'draft'
                               CHECK (status IN ('draft', 'published', 'cancelled', 'completed')),
    published_at           timestamptz(3),
    cancel_reason          text,
    version                integer NOT NULL DEFAULT 1,
    created_at             timestamptz(3) NOT NULL DEFAULT now(),
    updated_at             timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT events_events_ends_at_check CHECK (starts_at < ends_at),
    CONSTRAINT events_events_registration_closes_at_check CHECK (
        registration_opens_at IS NULL OR registration_closes_at IS NULL
        OR registration_opens_at < registration_closes_at
    )
);
CREATE INDEX ON events_events (status, starts_at);
CREATE INDEX ON events_events (venue_id, starts_at);

CREATE TABLE events_ticket_types (
    id                   uuid PRIMARY KEY,
    event_id             uuid NOT NULL REFERENCES events_events ON DELETE CASCADE,
    name                 text NOT NULL,
    description          text,
    price                numeric(12,2) NOT NULL DEFAULT 0.00,
    quantity             integer NOT NULL,
    max_per_registration integer NOT NULL DEFAULT 5,
    sales_start_at       timestamptz(3),
    sales_end_at         timestamptz(3),
    position             integer NOT NULL DEFAULT 0,
    is_active            boolean NOT NULL DEFAULT true,
    created_at           timestamptz(3) NOT NULL DEFAULT now(),
    updated_at           timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (event_id, name),
    CONSTRAINT events_ticket_types_sales_end_at_check CHECK (
        sales_start_at IS NULL OR sales_end_at IS NULL OR sales_start_at < sales_end_at
    )
);

CREATE TABLE events_speakers (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    slug        text NOT NULL UNIQUE,
    title       text,
    company     text,
    bio         text,
    photo_id    uuid REFERENCES uploads ON DELETE SET NULL,
    is_featured boolean NOT NULL DEFAULT false,
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE events_sessions (
    id         uuid PRIMARY KEY,
    event_id   uuid NOT NULL REFERENCES events_events ON DELETE CASCADE,
    title      text NOT NULL,
    abstract   text,
    room       text,
    starts_at  timestamptz(3) NOT NULL,
    ends_at    timestamptz(3) NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT events_sessions_ends_at_check CHECK (starts_at < ends_at)
);
CREATE INDEX ON events_sessions (event_id, starts_at);

CREATE TABLE events_session_speakers (
    id         uuid PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES events_sessions ON DELETE CASCADE,
    speaker_id uuid NOT NULL REFERENCES events_speakers ON DELETE CASCADE,
    position   integer NOT NULL DEFAULT 0,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (session_id, speaker_id)
);

-- One living registration per visitor and event; waitlisted_at is the place in the queue.
CREATE TABLE events_registrations (
    id               uuid PRIMARY KEY,
    number           text NOT NULL UNIQUE,
    event_id         uuid NOT NULL REFERENCES events_events ON DELETE RESTRICT,
    ticket_type_id   uuid NOT NULL REFERENCES events_ticket_types ON DELETE RESTRICT,
    user_id          uuid REFERENCES users ON DELETE SET NULL,
    contact_name     text NOT NULL,
    contact_email    text NOT NULL,
    quantity         integer NOT NULL,
    unit_price       numeric(12,2) NOT NULL,
    status           text NOT NULL CHECK (status IN ('confirmed', 'waitlisted', 'offered', 'cancelled')),
    order_id         uuid REFERENCES orders ON DELETE SET NULL,
    waitlisted_at    timestamptz(3),
    offer_expires_at timestamptz(3),
    attendees        jsonb NOT NULL,
    cancelled_at     timestamptz(3),
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT events_registrations_offer_expires_at_check CHECK (
        (status = 'offered') = (offer_expires_at IS NOT NULL)
    )
);
CREATE UNIQUE INDEX events_registrations_event_id_user_id_key ON events_registrations (event_id, user_id)
    WHERE status <> 'cancelled';
CREATE INDEX ON events_registrations (event_id, status, waitlisted_at);
CREATE INDEX ON events_registrations (ticket_type_id, status);
CREATE INDEX ON events_registrations (user_id, created_at);

CREATE TABLE events_tickets (
    id               uuid PRIMARY KEY,
    registration_id  uuid NOT NULL REFERENCES events_registrations ON DELETE CASCADE,
    code             text NOT NULL UNIQUE,
    attendee_name    text NOT NULL,
    attendee_email   text,
    checked_in_at    timestamptz(3),
    checked_in_by_id uuid REFERENCES users ON DELETE SET NULL,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
