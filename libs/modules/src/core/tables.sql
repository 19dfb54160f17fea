-- Core application: accounts, content, the purchase ledger and the sandbox.
-- Every column of every module follows docs/contract. Names of keys and checks are PostgreSQL's own
-- (<table>_<column>_key, _fkey, _check); a check over several columns is named after the one to blame,
-- because errors tell a visitor the field. There is no index beyond the contract's: a table holds at
-- most 1000 rows, and each index makes a schema slower to prepare.

-- Bytes live in the session's schema and vanish with it.
CREATE TABLE uploads (
    id          uuid PRIMARY KEY,
    filename    text NOT NULL,
    mime_type   text NOT NULL
                    CHECK (mime_type IN ('image/png', 'image/jpeg', 'image/gif', 'image/webp',
                        'image/svg+xml', 'application/pdf', 'text/plain', 'text/csv', 'video/mp4', 'video/webm')),
    size        integer NOT NULL,
    sha256      text NOT NULL,
    content_key text NOT NULL UNIQUE,
    data        bytea NOT NULL,
    alt_text    text,
    owner_id    uuid,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON uploads (created_at);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    name          text NOT NULL,
    role          text NOT NULL DEFAULT 'USER' CHECK (role IN ('ADMIN', 'STAFF', 'USER')),
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    phone         text,
    avatar_id     uuid REFERENCES uploads ON DELETE SET NULL,
    failed_logins integer NOT NULL DEFAULT 0,
    locked_until  timestamptz(3),
    last_login_at timestamptz(3),
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON users (role, status);
CREATE INDEX ON users (created_at);

CREATE TABLE auth_sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    family_id    uuid NOT NULL,
    refresh_hash text NOT NULL UNIQUE,
    user_agent   text,
    last_used_at timestamptz(3) NOT NULL,
    expires_at   timestamptz(3) NOT NULL,
    revoked_at   timestamptz(3),
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON auth_sessions (family_id);

CREATE TABLE password_reset_tokens (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    expires_at timestamptz(3) NOT NULL,
    used_at    timestamptz(3),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE user_addresses (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    label       text,
    recipient   text NOT NULL,
    line1       text NOT NULL,
    line2       text,
    city        text NOT NULL,
    region      text,
    postal_code text NOT NULL,
    country     text NOT NULL,
    phone       text,
    is_default  boolean NOT NULL DEFAULT false,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX user_addresses_user_id_key ON user_addresses (user_id) WHERE is_default;

CREATE TABLE audit_logs (
    id          uuid PRIMARY KEY,
    actor_id    uuid REFERENCES users ON DELETE SET NULL,
    actor_name  text NOT NULL,
    action      text NOT NULL,
    entity_type text NOT NULL,
    entity_id   uuid,
    summary     text NOT NULL,
    changes     jsonb,
    created_at  timestamptz(3) NOT NULL DEFAULT now(),
    updated_at  timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON audit_logs (created_at);
CREATE INDEX ON audit_logs (entity_type, entity_id);

CREATE TABLE contact_messages (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL,
    subject    text NOT NULL,
    message    text NOT NULL,
    user_id    uuid REFERENCES users ON DELETE SET NULL,
    status     text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'in_progress', 'closed')),
    note       text,
    reply      text,
    replied_at timestamptz(3),
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON contact_messages (status, created_at);

CREATE TABLE notifications (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind       text NOT NULL,
    title      text NOT NULL,
    body       text,
    link       text,
    read_at    timestamptz(3),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON notifications (user_id, read_at);
CREATE INDEX ON notifications (user_id, created_at);

CREATE TABLE faqs (
    id           uuid PRIMARY KEY,
    question     text NOT NULL,
    answer       text NOT NULL,
    category     text NOT NULL DEFAULT 'General',
    position     integer NOT NULL DEFAULT 0,
    is_published boolean NOT NULL DEFAULT true,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON faqs (category, position);

CREATE TABLE announcements (
    id         uuid PRIMARY KEY,
    title      text NOT NULL,
    body       text NOT NULL,
    level      text NOT NULL DEFAULT 'info' CHECK (level IN ('info', 'success', 'warning')),
    audience   text NOT NULL DEFAULT 'all' CHECK (audience IN ('all', 'users', 'staff')),
    is_pinned  boolean NOT NULL DEFAULT false,
    starts_at  timestamptz(3) NOT NULL,
    ends_at    timestamptz(3),
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT announcements_ends_at_check CHECK (ends_at IS NULL OR ends_at > starts_at)
);
CREATE INDEX ON announcements (starts_at, ends_at);

CREATE TABLE announcement_reads (
    id              uuid PRIMARY KEY,
    announcement_id uuid NOT NULL REFERENCES announcements ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at      timestamptz(3) NOT NULL DEFAULT now(),
    updated_at      timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (announcement_id, user_id)
);

CREATE TABLE settings (
    id            uuid PRIMARY KEY,
    key           text NOT NULL UNIQUE,
    value         jsonb NOT NULL,
    updated_by_id uuid REFERENCES users ON DELETE SET NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE content_pages (
    id           uuid PRIMARY KEY,
    slug         text NOT NULL UNIQUE,
    title        text NOT NULL,
    excerpt      text,
    body         text NOT NULL,
    status       text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published')),
    show_in_menu boolean NOT NULL DEFAULT false,
    position     integer NOT NULL DEFAULT 0,
    hero_id      uuid REFERENCES uploads ON DELETE SET NULL,
    published_at timestamptz(3),
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON content_pages (status, position);

CREATE TABLE content_revisions (
    id         uuid PRIMARY KEY,
    page_id    uuid NOT NULL REFERENCES content_pages ON DELETE CASCADE,
    number     integer NOT NULL,
    title      text NOT NULL,
    body       text NOT NULL,
    editor_id  uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (page_id, number)
);

CREATE TABLE coupons (
    id             uuid PRIMARY KEY,
    code           text NOT NULL UNIQUE,
    description    text,
    kind           text NOT NULL CHECK (kind IN ('percent', 'fixed')),
    value          numeric(12,2) NOT NULL,
    scope          text NOT NULL DEFAULT 'all' CHECK (scope IN ('all', 'ecommerce', 'lms', 'booking', 'events')),
    min_subtotal   numeric(12,2) NOT NULL DEFAULT 0.00,
    max_uses       integer,
    per_user_limit integer,
    used_count     integer NOT NULL DEFAULT 0,
    starts_at      timestamptz(3),
    ends_at        timestamptz(3),
    is_active      boolean NOT NULL DEFAULT true,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT coupons_value_check CHECK (value > 0 AND (kind <> 'percent' OR value <= 100)),
    CONSTRAINT coupons_used_count_check CHECK (max_uses IS NULL OR used_count <= max_uses),
    CONSTRAINT coupons_ends_at_check CHECK (ends_at IS NULL OR starts_at IS NULL OR ends_at > starts_at)
);

-- The one ledger of purchases: every module that sells writes here and links its own row to the order.
CREATE TABLE orders (
    id             uuid PRIMARY KEY,
    number         text NOT NULL UNIQUE,
    user_id        uuid REFERENCES users ON DELETE SET NULL,
    customer_name  text NOT NULL,
    email          text NOT NULL,
    source         text NOT NULL CHECK (source IN ('ecommerce', 'lms', 'booking', 'events')),
    status         text NOT NULL DEFAULT 'pending'
                       CHECK (status IN ('pending', 'paid', 'partially_refunded', 'refunded', 'cancelled')),
    currency       text NOT NULL,
    subtotal       numeric(12,2) NOT NULL,
    discount       numeric(12,2) NOT NULL DEFAULT 0.00,
    shipping       numeric(12,2) NOT NULL DEFAULT 0.00,
    tax            numeric(12,2) NOT NULL DEFAULT 0.00,
    total          numeric(12,2) NOT NULL,
    refunded_total numeric(12,2) NOT NULL DEFAULT 0.00,
    coupon_id      uuid REFERENCES coupons ON DELETE SET NULL,
    coupon_code    text,
    paid_at        timestamptz(3),
    cancelled_at   timestamptz(3),
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT orders_total_check CHECK (total = subtotal - discount + shipping + tax),
    CONSTRAINT orders_refunded_total_check CHECK (total >= 0 AND refunded_total >= 0 AND refunded_total <= total)
);
CREATE INDEX ON orders (user_id, created_at);
CREATE INDEX ON orders (status, created_at);
CREATE INDEX ON orders (source, created_at);

CREATE TABLE coupon_redemptions (
    id         uuid PRIMARY KEY,
    coupon_id  uuid NOT NULL REFERENCES coupons ON DELETE RESTRICT,
    order_id   uuid NOT NULL UNIQUE REFERENCES orders ON DELETE CASCADE,
    user_id    uuid REFERENCES users ON DELETE SET NULL,
    amount     numeric(12,2) NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);

-- ref_id names the row that was sold; without a foreign key, because it may be gone.
CREATE TABLE order_items (
    id         uuid PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('product', 'course', 'booking', 'event_ticket')),
    ref_id     uuid,
    title      text NOT NULL,
    sku        text,
    quantity   integer NOT NULL,
    unit_price numeric(12,2) NOT NULL,
    line_total numeric(12,2) NOT NULL,
    position   integer NOT NULL DEFAULT 0,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT order_items_line_total_check CHECK (line_total = quantity * unit_price)
);
CREATE INDEX ON order_items (kind, ref_id);

CREATE TABLE payments (
    id           uuid PRIMARY KEY,
    intent_code  text NOT NULL UNIQUE,
    purpose      text NOT NULL CHECK (purpose IN ('order', 'invoice', 'standalone')),
    order_id     uuid REFERENCES orders ON DELETE SET NULL,
    user_id      uuid REFERENCES users ON DELETE SET NULL,
    amount       numeric(12,2) NOT NULL,
    currency     text NOT NULL,
    description  text,
    status       text NOT NULL DEFAULT 'requires_confirmation'
                     CHECK (status IN ('requires_confirmation', 'succeeded', 'failed', 'canceled')),
    card_brand   text CHECK (card_brand IN ('visa', 'mastercard', 'amex', 'other')),
    card_last4   text,
    decline_code text,
    succeeded_at timestamptz(3),
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT payments_succeeded_at_check CHECK ((status = 'succeeded') = (succeeded_at IS NOT NULL))
);
CREATE INDEX ON payments (status, created_at);

CREATE TABLE refunds (
    id            uuid PRIMARY KEY,
    order_id      uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    payment_id    uuid REFERENCES payments ON DELETE SET NULL,
    amount        numeric(12,2) NOT NULL,
    reason        text NOT NULL,
    created_by_id uuid REFERENCES users ON DELETE SET NULL,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE emails (
    id         uuid PRIMARY KEY,
    to_email   text NOT NULL,
    to_name    text,
    template   text NOT NULL,
    subject    text NOT NULL,
    text       text NOT NULL,
    html       text NOT NULL,
    action_url text,
    is_read    boolean NOT NULL DEFAULT false,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON emails (to_email, created_at);
CREATE INDEX ON emails (created_at);

-- The first 2xx answer of a caller's key, replayed to whoever repeats the request.
CREATE TABLE idempotency_keys (
    id         uuid PRIMARY KEY,
    caller     text NOT NULL,
    key        text NOT NULL,
    route      text NOT NULL,
    body_hash  text NOT NULL,
    status     integer NOT NULL,
    response   jsonb NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (caller, route, key)
);

-- A counter row and not a sequence: numbers must roll back with their transaction, and have no gaps.
CREATE TABLE number_sequences (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    next_value integer NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);

-- users and uploads refer to each other: an avatar is an upload, an upload has an owner.
ALTER TABLE uploads ADD FOREIGN KEY (owner_id) REFERENCES users ON DELETE SET NULL;
