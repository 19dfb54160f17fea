-- Invoices: clients, tax rates, invoices with their lines and payments, and templates that repeat.

CREATE TABLE invoicing_clients (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    contact_name text,
    email        text NOT NULL,
    phone        text,
    tax_number   text,
    address      jsonb,
    user_id      uuid REFERENCES users ON DELETE SET NULL,
    terms_days   integer,
    notes        text,
    is_archived  boolean NOT NULL DEFAULT false,
    version      integer NOT NULL DEFAULT 1,
    created_at   timestamptz(3) NOT NULL DEFAULT now(),
    updated_at   timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX ON invoicing_clients (is_archived, name);

CREATE TABLE invoicing_tax_rates (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    percent    numeric(12,3) NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    is_active  boolean NOT NULL DEFAULT true,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    updated_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX invoicing_tax_rates_is_default_key ON invoicing_tax_rates (is_default) WHERE is_default;

CREATE TABLE invoicing_recurring (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    client_id     uuid NOT NULL REFERENCES invoicing_clients ON DELETE RESTRICT,
    frequency     text NOT NULL CHECK (frequency IN ('weekly', 'monthly', 'quarterly', 'yearly')),
    start_date    date NOT NULL,
    end_date      date,
    next_run_date date,
    last_run_date date,
    run_count     integer NOT NULL DEFAULT 0,
    auto_send     boolean NOT NULL DEFAULT false,
    notes         text,
    status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'ended')),
    version       integer NOT NULL DEFAULT 1,
    created_at    timestamptz(3) NOT NULL DEFAULT now(),
    updated_at    timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT invoicing_recurring_end_date_check CHECK (end_date IS NULL OR end_date >= start_date)
);
CREATE INDEX ON invoicing_recurring (status, next_run_date);

-- A draft has no number; it gets the next one of its year when it is sent.
CREATE TABLE invoicing_invoices (
    id             uuid PRIMARY KEY,
    number         text UNIQUE,
    client_id      uuid NOT NULL REFERENCES invoicing_clients ON DELETE RESTRICT,
    status         text NOT NULL DEFAULT 'draft'
                       CHECK (status IN ('draft', 'sent', 'partially_paid', 'paid', 'overdue', 'void')),
    issue_date     date NOT NULL,
    due_date       date NOT NULL,
    currency       text NOT NULL,
    subtotal       numeric(12,2) NOT NULL DEFAULT 0.00,
    tax_total      numeric(12,2) NOT NULL DEFAULT 0.00,
    total          numeric(12,2) NOT NULL DEFAULT 0.00,
    amount_paid    numeric(12,2) NOT NULL DEFAULT 0.00,
    balance        numeric(12,2) NOT NULL DEFAULT 0.00,
    notes          text,
    public_key     text NOT NULL UNIQUE,
    recurring_id   uuid REFERENCES invoicing_recurring ON DELETE SET NULL,
    recurring_date date,
    sent_at        timestamptz(3),
    viewed_at      timestamptz(3),
    paid_at        timestamptz(3),
    voided_at      timestamptz(3),
    void_reason    text,
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz(3) NOT NULL DEFAULT now(),
    updated_at     timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT invoicing_invoices_total_check CHECK (total = subtotal + tax_total),
    CONSTRAINT invoicing_invoices_balance_check CHECK (balance = total - amount_paid),
    CONSTRAINT invoicing_invoices_amount_paid_check CHECK (amount_paid >= 0 AND amount_paid <= total),
    CONSTRAINT invoicing_invoices_due_date_check CHECK (due_date >= issue_date)
);
CREATE UNIQUE INDEX invoicing_invoices_recurring_id_recurring_date_key
    ON invoicing_invoices (recurring_id, recurring_date) WHERE recurring_id IS NOT NULL;
CREATE INDEX ON invoicing_invoices (status, due_date);
CREATE INDEX ON invoicing_invoices (client_id, issue_date);

CREATE TABLE invoicing_invoice_items (
    id               uuid PRIMARY KEY,
    invoice_id       uuid NOT NULL REFERENCES invoicing_invoices ON DELETE CASCADE,
    description      text NOT NULL,
    quantity         numeric(12,3) NOT NULL DEFAULT 1.000,
    unit_price       numeric(12,2) NOT NULL,
    discount_percent numeric(12,2) NOT NULL DEFAULT 0.00,
    tax_rate_id      uuid REFERENCES invoicing_tax_rates ON DELETE SET NULL,
    tax_name         text,
    tax_percent      numeric(12,3) NOT NULL DEFAULT 0.000,
    line_subtotal    numeric(12,2) NOT NULL,
    line_tax         numeric(12,2) NOT NULL,
    line_total       numeric(12,2) NOT NULL,
    position         integer NOT NULL DEFAULT 0,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT invoicing_invoice_items_line_total_check CHECK (line_total = line_subtotal + line_tax)
);
CREATE INDEX ON invoicing_invoice_items (invoice_id, position);

CREATE TABLE invoicing_payments (
    id              uuid PRIMARY KEY,
    invoice_id      uuid NOT NULL REFERENCES invoicing_invoices ON DELETE RESTRICT,
    amount          numeric(12,2) NOT NULL,
    method          text NOT NULL DEFAULT 'bank_transfer'
                        CHECK (method IN ('bank_transfer', 'cash', 'card', 'other')),
    paid_on         date NOT NULL,
    reference       text,
    refunded_amount numeric(12,2) NOT NULL DEFAULT 0.00,
    payment_id      uuid REFERENCES payments ON DELETE SET NULL,
    recorded_by_id  uuid REFERENCES users ON DELETE SET NULL,
    created_at      timestamptz(3) NOT NULL DEFAULT now(),
    updated_at      timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT invoicing_payments_refunded_amount_check CHECK (refunded_amount >= 0 AND refunded_amount <= amount)
);

CREATE TABLE invoicing_recurring_items (
    id               uuid PRIMARY KEY,
    recurring_id     uuid NOT NULL REFERENCES invoicing_recurring ON DELETE CASCADE,
    description      text NOT NULL,
    quantity         numeric(12,3) NOT NULL DEFAULT 1.000,
    unit_price       numeric(12,2) NOT NULL,
    discount_percent numeric(12,2) NOT NULL DEFAULT 0.00,
    tax_rate_id      uuid REFERENCES invoicing_tax_rates ON DELETE RESTRICT,
    position         integer NOT NULL DEFAULT 0,
    created_at       timestamptz(3) NOT NULL DEFAULT now(),
    updated_at       timestamptz(3) NOT NULL DEFAULT now()
);
