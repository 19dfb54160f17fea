-- Appointments: services, providers, working hours, bookings and reviews.

CREATE TABLE booking_services (
    id                  uuid PRIMARY KEY,
    name                text NOT NULL,
    slug                text NOT NULL UNIQUE,
    description         text,
    category            text,
    duration_minutes    integer NOT NULL,
    buffer_minutes      integer NOT NULL DEFAULT 0,
    price               numeric(12,2) NOT NULL DEFAULT 0.00,
    requires_prepayment boolean NOT NULL DEFAULT false,
    color               text NOT NULL DEFAULT '#6366f1',
    image_id            uuid REFERENCES uploads ON DELETE SET NULL,
    is_active           boolean NOT NULL DEFAULT true,
    version             integer NOT NULL DEFAULT 1,
    created_at          timestamptz(3) NOT NULL DEFAULT now(),
    updated_at          timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT booking_services_requires_prepayment_check CHECK (NOT requires_prepayment OR price > 0)
);
CREATE INDEX ON booking_services (is_active, category);

CREATE TABLE booking_providers (
    id             uuid PRIMARY KEY,
    user_id        uuid UNIQUE REFERENCES users ON DELETE SET NULL,
    name           text NOT NULL,
    slug           text NOT NULL UNIQUE,
    title          text,
    bio            text,
    photo_id       uuid REFERENCES uploads ON DELETE SET NULL,
    timezone       text NOT NULL DEFAULT 'UTC',
    color          text NOT NULL DEFAULT '#0ea5e9',
    is_active      boolean NOT NULL DEFAULT true,
    rating_average numeric(12,2) NOT NULL DEFAULT 0.00,
    rating_count   integer NOT NULL DEFAULT 0,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE booking_provider_services (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES booking_providers ON DELETE CASCADE,
    service_id  uuid NOT NULL REFERENCES booking_services ON DELETE CASCADE,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (provider_id, service_id)
);

CREATE TABLE booking_schedules (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES booking_providers ON DELETE CASCADE,
    weekday     integer NOT NULL,
    start_time  time(0) NOT NULL,
    end_time    time(0) NOT NULL,
    valid_from  date,
    valid_to    date,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT booking_schedules_end_time_check CHECK (start_time < end_time),
    CONSTRAINT booking_schedules_valid_to_check CHECK (
        valid_to IS NULL OR valid_from IS NULL OR valid_to >= valid_from
    )
);
CREATE INDEX ON booking_schedules (provider_id, weekday);

-- Checked against bookings under the same lock on the provider's row.
CREATE TABLE booking_time_off (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES booking_providers ON DELETE CASCADE,
    starts_at   timestamptz(3) NOT NULL,
    ends_at     timestamptz(3) NOT NULL,
    reason      text,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT booking_time_off_ends_at_check CHECK (starts_at < ends_at)
);
CREATE INDEX ON booking_time_off (provider_id, starts_at);

-- No two active bookings of a provider may overlap over [starts_at, busy_until). An exclusion constraint
-- would need the extension btree_gist, which not every server offers; whoever books, moves or confirms
-- locks the provider's row (SELECT … FOR UPDATE) and looks for an overlap first.
CREATE TABLE booking_bookings (
    id             uuid PRIMARY KEY,
    number         text NOT NULL UNIQUE,
    service_id     uuid NOT NULL REFERENCES booking_services ON DELETE RESTRICT,
    provider_id    uuid NOT NULL REFERENCES booking_providers ON DELETE RESTRICT,
    customer_id    uuid REFERENCES users ON DELETE SET NULL,
    customer_name  text NOT NULL,
    customer_email text NOT NULL,
    phone          text,
    starts_at      timestamptz(3) NOT NULL,
    ends_at        timestamptz(3) NOT NULL,
    busy_until     timestamptz(3) NOT NULL,
    status         text NOT NULL DEFAULT 'confirmed'
                       CHECK (status IN ('pending', 'confirmed', 'completed', 'no_show', 'cancelled')),
    price          numeric(12,2) NOT NULL,
    currency       text NOT NULL,
    order_id       uuid REFERENCES orders ON DELETE SET NULL,
    note           text,
    internal_note  text,
    cancelled_at   timestamptz(3),
    cancel_reason  text,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT booking_bookings_busy_until_check CHECK (starts_at < ends_at AND ends_at <= busy_until)
);
CREATE INDEX ON booking_bookings (provider_id, starts_at);
CREATE INDEX ON booking_bookings (customer_id, starts_at);
CREATE INDEX ON booking_bookings (status, starts_at);

CREATE TABLE booking_reviews (
    id          uuid PRIMARY KEY,
    booking_id  uuid NOT NULL UNIQUE REFERENCES booking_bookings ON DELETE CASCADE,
    service_id  uuid NOT NULL REFERENCES booking_services ON DELETE CASCADE,
    provider_id uuid NOT NULL REFERENCES booking_providers ON DELETE CASCADE,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    rating      integer NOT NULL,
    comment     text,
    is_hidden   boolean NOT NULL DEFAULT false,
    reply       text,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
