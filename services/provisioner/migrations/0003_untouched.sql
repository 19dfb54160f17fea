-- What tells demo data that nobody has touched: the transactions that put it in, and how many rows.
ALTER TABLE provisioner.slots
    ADD COLUMN furnished_xids bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN furnished_rows bigint;
-- Imprints are made in another way: schemas that exist are replaced when nobody lives in them.
UPDATE provisioner.slots SET fingerprint = 'of an earlier imprint' WHERE fingerprint IS NOT NULL;
