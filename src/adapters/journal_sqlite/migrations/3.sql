-- From version 2 to version 3: the master key that was loaded over the bus.
-- One transaction with the new user_version around it; see migrate.rs. Never edited once released.
ALTER TABLE terminal ADD COLUMN master_sealed BLOB;
ALTER TABLE terminal ADD COLUMN master_key_id TEXT;
