-- The generation of the session for which the slot was claimed: a drop that comes late leaves a newer claim alone.
ALTER TABLE provisioner.slots ADD COLUMN session_generation bigint NOT NULL DEFAULT 0;
