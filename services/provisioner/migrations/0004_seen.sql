-- When a replica of the program last ran: one that is gone does not keep the others out of the pool.
ALTER TABLE provisioner.fingerprints ADD COLUMN seen_at timestamptz NOT NULL DEFAULT clock_timestamp();
