-- From version 2 to version 3: the master key that was loaded over the bus; tables from the bank, in use and built aside;
-- the profile under which a request was made and a batch was begun.
-- One transaction with the new user_version around it; see migrate.rs. Never edited once released.
ALTER TABLE terminal ADD COLUMN master_sealed BLOB;
ALTER TABLE terminal ADD COLUMN master_key_id TEXT;
ALTER TABLE batch ADD COLUMN profile TEXT;
ALTER TABLE txn ADD COLUMN profile TEXT;

CREATE TABLE download (
    kind       TEXT    NOT NULL PRIMARY KEY,
    list       BLOB,
    begun_at   INTEGER,
    swapped_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE download_row (
    kind   TEXT    NOT NULL REFERENCES download (kind),
    staged INTEGER NOT NULL,
    key    BLOB    NOT NULL,
    data   BLOB    NOT NULL,
    digest BLOB    NOT NULL,
    PRIMARY KEY (kind, staged, key)
) STRICT, WITHOUT ROWID;
