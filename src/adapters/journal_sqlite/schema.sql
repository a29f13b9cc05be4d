-- The journal of posd, version 1 (PRAGMA user_version).
--
-- Times are microseconds since 1970-01-01T00:00:00Z on the wall clock as corrected at sign-on. Amounts are minor units
-- of the row's currency (fen for CNY), 0 to 999999999999. Words are those of the bus contract and are checked when they
-- are read. "Sealed" is AES-256-GCM: 12 bytes of random nonce, ciphertext, 16 bytes of tag; the associated data is
-- `row|column|key id`. Cardholder data is a whole card number or an expiry date: it stands in sealed columns only, and
-- columns without a remark never hold any.

-- The batches this terminal has had; records name one by its id, because numbers come round again.
CREATE TABLE batch (
    id          INTEGER PRIMARY KEY, -- internal, rising
    number      INTEGER NOT NULL,    -- DE 60.2, 1 to 999999
    opened_at   INTEGER NOT NULL,    -- time
    closed_at   INTEGER,             -- time; NULL while it is the open one
    terminal_id TEXT,                -- DE 41, 8 characters, of its first request; NULL before
    merchant_id TEXT,                -- DE 42, 15 characters, of its first request; NULL before
    currency    TEXT                 -- ISO 4217, three letters, of its first request; NULL before
) STRICT;

-- The terminal itself: exactly one row.
CREATE TABLE terminal (
    id             INTEGER PRIMARY KEY CHECK (id = 1), -- always 1
    storage_key_id TEXT NOT NULL,                      -- 8 hex digits naming the key that seals here; not secret
    next_stan      INTEGER NOT NULL,                   -- 1 to 999999
    batch          INTEGER NOT NULL REFERENCES batch (id), -- the open batch
    clock_offset   INTEGER NOT NULL,                   -- host minus wall clock at the last sign-on, microseconds
    newest_at      INTEGER NOT NULL,                   -- newest time ever written: the clock floor
    keys_sealed    BLOB,                               -- sealed: field 62 of the last sign-on; NULL = not signed on
    keys_key_id    TEXT,                               -- 8 hex digits: the key that sealed keys_sealed
    tmk_check      BLOB,                               -- first 4 bytes of the master key's check value
    keys_loaded_at INTEGER                             -- time
) STRICT;

-- One row for each transaction that reached Sending or ended.
CREATE TABLE txn (
    id                 INTEGER PRIMARY KEY,      -- internal, rising
    name               TEXT    NOT NULL UNIQUE,  -- 32 hex digits: the name on the bus
    request_id         TEXT    NOT NULL UNIQUE,  -- the caller's name, 1 to 64 characters
    kind               TEXT    NOT NULL,         -- word: sale, void, ...
    amount             INTEGER NOT NULL,         -- amount asked for
    currency           TEXT    NOT NULL,         -- ISO 4217, three letters
    arguments_sha256   BLOB    NOT NULL,         -- 32 bytes over the arguments that idempotency compares
    operator           TEXT    NOT NULL,         -- 2 digits
    created_at         INTEGER NOT NULL,         -- time
    cashier_ref        TEXT,                     -- the shop's own reference, at most 256 bytes; NULL = none
    metadata           TEXT    NOT NULL,         -- JSON list of pairs, at most 16
    plies              INTEGER NOT NULL,         -- plies wanted, 0 to 2
    batch              INTEGER NOT NULL REFERENCES batch (id), -- the batch open when the row was made
    stan               INTEGER,                  -- DE 11, 1 to 999999; NULL = no request was stored
    sent_at            INTEGER,                  -- time of the record made before the first byte; NULL = none
    -- The card; all NULL while none was read.
    card_sealed        BLOB,                     -- sealed CARDHOLDER DATA: number, '=', expiry YYMM; NULL = wiped
    card_key_id        TEXT,                     -- 8 hex digits: the key that sealed card_sealed
    masked_pan         TEXT,                     -- first six and last four digits, the rest as '*'
    card_sequence      INTEGER,                  -- tag 5F34, 0 to 99; NULL = none
    entry_mode         TEXT,                     -- word: chip, swipe, ...
    card_token         TEXT,                     -- 16 hex digits: keyed hash of the card number
    brand              TEXT,                     -- word: unionpay, visa, ...; empty = unknown
    aid                TEXT,                     -- 10 to 32 hex digits, upper case
    label              TEXT,                     -- application label or preferred name
    cvm                TEXT,                     -- word: none, online-pin, ...
    signature_required INTEGER,                  -- 0 or 1
    chip               TEXT,                     -- JSON list of pairs: name, upper-case hex. Never tags 57, 5A, 5F24
    -- The request; all NULL while none was stored.
    mti                TEXT,                     -- 4 digits
    processing_code    TEXT,                     -- DE 3, 6 digits
    pos_entry_mode     TEXT,                     -- DE 22, 3 digits
    pos_condition      TEXT,                     -- DE 25, 2 digits
    message_type       TEXT,                     -- DE 60.1, 2 digits
    capability         TEXT,                     -- DE 60.4 and 60.5, 2 digits
    terminal_id        TEXT,                     -- DE 41, 8 characters
    merchant_id        TEXT,                     -- DE 42, 15 characters
    icc                BLOB,                     -- DE 55 of the request, BER-TLV without tags 57, 5A, 5F24
    reversal_icc       BLOB,                     -- DE 55 of a reversal without a usable answer, the same rule
    -- The end.
    outcome            TEXT    NOT NULL,         -- word; none = between Sending and Closed
    result             TEXT,                     -- word; NULL = not ended
    approved_amount    INTEGER NOT NULL,         -- amount; 0 unless approved
    finished_at        INTEGER,                  -- time; NULL = not ended
    response_code      TEXT,                     -- DE 39, 2 characters; this and the rest NULL where the host said nothing
    rrn                TEXT,                     -- DE 37, 12 characters
    auth_code          TEXT,                     -- DE 38, 6 characters
    host_time          TEXT,                     -- DE 12 and 13 with year: YYYYMMDDhhmmss, the terminal's zone
    settlement_date    TEXT,                     -- DE 15, MMDD
    acquirer           TEXT,                     -- DE 32
    institutions       TEXT,                     -- DE 44
    organisation       TEXT,                     -- DE 63.1
    host_text          TEXT                      -- DE 63.2
) STRICT;
CREATE INDEX txn_by_time ON txn (created_at, id);
CREATE INDEX txn_by_batch ON txn (batch, stan);
CREATE INDEX txn_by_card ON txn (card_token, created_at, id) WHERE card_token IS NOT NULL;
CREATE INDEX txn_open ON txn (outcome) WHERE outcome = 'none';

-- The reversal of a transaction, from Sending until it is disarmed, and for ever once it was due.
CREATE TABLE reversal (
    txn             INTEGER PRIMARY KEY REFERENCES txn (id), -- the original
    state           TEXT    NOT NULL,  -- armed (request is out), due, sending, done, failed
    reason          TEXT    NOT NULL,  -- DE 39 of the 0400: 98, A0, 06
    attempts        INTEGER NOT NULL,  -- attempts counted before their first byte
    ask_again       INTEGER NOT NULL,  -- 1 = the host answered 25 once and is asked once more
    created_at      INTEGER NOT NULL,  -- time it became due; while armed the time of Sending
    changed_at      INTEGER NOT NULL,  -- time of the last attempt or answer
    response_code   TEXT,              -- DE 39 of the last 0410; NULL = none
    last_error      TEXT    NOT NULL,  -- cause in words; empty = none
    icc             BLOB    NOT NULL   -- DE 55 of the 0400, BER-TLV without tags 57, 5A, 5F24
) STRICT;
CREATE INDEX reversal_open ON reversal (state) WHERE state <> 'done';

-- What is known of each ply of paper.
CREATE TABLE ply (
    txn    INTEGER NOT NULL REFERENCES txn (id), -- the transaction
    ply    TEXT    NOT NULL,  -- word: merchant, customer
    copy   INTEGER NOT NULL,  -- 0 = original, 1, 2, ... = reprints
    state  TEXT    NOT NULL,  -- word: queued, printing, confirmed, unconfirmed, held, failed, abandoned
    reason TEXT    NOT NULL,  -- cause in words; empty = none
    PRIMARY KEY (txn, ply, copy)
) STRICT, WITHOUT ROWID;
CREATE INDEX ply_open ON ply (txn) WHERE state IN ('held', 'queued', 'printing');

-- Lines for people, append-only. Named by text, because a line may come before its transaction has a row.
CREATE TABLE timeline (
    id   INTEGER PRIMARY KEY, -- order of writing
    txn  TEXT    NOT NULL,    -- 32 hex digits: the transaction's name
    at   INTEGER NOT NULL,    -- time
    what TEXT    NOT NULL,    -- hyphenated word
    text TEXT    NOT NULL,    -- English sentence; masked numbers only
    stan INTEGER              -- DE 11; NULL = none
) STRICT;
CREATE INDEX timeline_by_txn ON timeline (txn, id);

-- The operators of this terminal.
CREATE TABLE operator (
    id           TEXT PRIMARY KEY,   -- 2 digits
    password_phc TEXT    NOT NULL,   -- Argon2id in PHC form
    factory      INTEGER NOT NULL,   -- 1 = the factory password still stands
    failures     INTEGER NOT NULL,   -- wrong passwords in a row
    locked_until INTEGER NOT NULL    -- time; 0 = not locked
) STRICT, WITHOUT ROWID;

-- Who did what. Append-only: the database itself refuses to change or delete a line.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY, -- order of writing
    at       INTEGER NOT NULL,    -- time
    operator TEXT,                -- 2 digits; NULL = nobody was signed on
    text     TEXT    NOT NULL     -- English sentence; masked numbers only
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
