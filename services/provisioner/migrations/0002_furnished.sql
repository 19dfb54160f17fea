-- Demo data in ready slots.
ALTER TABLE provisioner.slots
    -- What the ids of the demo data were made from: the session's id, or an id of its own in a slot furnished ahead.
    ADD COLUMN seed uuid,
    -- Of the amounts in it.
    ADD COLUMN currency text,
    -- When a ready slot got its demo data; none: it has none.
    ADD COLUMN furnished_at timestamptz,
    -- What the last session in this slot chose, and its currency: what the next is likely to choose.
    ADD COLUMN wanted text[],
    ADD COLUMN wanted_currency text;
