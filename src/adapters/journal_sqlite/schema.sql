-- The journal of posd, version 3 (PRAGMA user_version): the tables as a new journal gets them. A journal of an earlier
-- version comes to the same tables by the files in `migrations`; a test compares the two.
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
    currency    TEXT,                -- ISO 4217, three letters, of its first request; NULL before
    profile     TEXT,                -- name of the profile of its first request; NULL before, and from versions 1 and 2
    -- Its settlement.
    state       TEXT    NOT NULL DEFAULT 'open', -- word: open, settling, uploading, closed
    begun_at    INTEGER,             -- time its settlement began; NULL = not begun
    operator    TEXT,                -- 2 digits: who settles it; NULL = nobody yet
    field48     TEXT,                -- field 48 of its 0500, 62 digits; NULL = totals not frozen
    settle_stan INTEGER,             -- DE 11 of its 0500; NULL = totals not frozen
    verdict_domestic TEXT,           -- word: agreed, disagreed, error, unknown; NULL = none yet
    verdict_foreign  TEXT,           -- the same for foreign cards
    uploaded    INTEGER NOT NULL DEFAULT 0, -- records of the batch upload that are answered
    forced      INTEGER NOT NULL DEFAULT 0  -- 1 = closed by a supervisor without the bank's word
) STRICT;
CREATE INDEX batch_by_number ON batch (number);
CREATE INDEX batch_by_end ON batch (closed_at) WHERE closed_at IS NOT NULL;

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
    keys_loaded_at INTEGER,                            -- time
    master_sealed  BLOB,                               -- sealed: the master key, 16 bytes, once one was loaded over the bus
    master_key_id  TEXT,                               -- 8 hex digits: the key that sealed master_sealed
    queue_paused   TEXT,                               -- why a person holds the queue back; NULL = it goes
    restore_unconfirmed INTEGER NOT NULL DEFAULT 0     -- 1 = restored from a copy, and nobody has confirmed the list
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
    plies              INTEGER NOT NULL,         -- plies wanted, 0 to 3
    -- What it rests on. The original is told by numbers too, because its row may be in no journal, or go before this one.
    original           INTEGER REFERENCES txn (id), -- the transaction it follows; NULL = none, or not here
    original_batch     INTEGER,                  -- its batch number, 1 to 999999
    original_stan      INTEGER,                  -- its DE 11, 1 to 999999
    original_date      TEXT,                     -- its day as the bank counts, MMDD
    original_rrn       TEXT,                     -- its DE 37
    original_auth_code TEXT,                     -- its DE 38
    original_card      TEXT,                     -- its card_token
    told_auth_code     TEXT,                     -- authorisation code told by the caller, 6 characters
    supervisor         TEXT,                     -- 2 digits: who allowed it; NULL = nobody had to
    allow_partial      INTEGER NOT NULL DEFAULT 0, -- 1 = a part of the amount may be approved (DE 60.6)
    linked             INTEGER NOT NULL DEFAULT 0, -- 1 = started by the terminal itself, to undo its original
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
    capability         TEXT,                     -- DE 60.4 to 60.6, 3 digits (2 in rows of version 1)
    terminal_id        TEXT,                     -- DE 41, 8 characters
    merchant_id        TEXT,                     -- DE 42, 15 characters
    profile            TEXT,                     -- name of the profile; NULL in rows of versions 1 and 2
    icc                BLOB,                     -- DE 55 of the request, BER-TLV without tags 57, 5A, 5F24
    reversal_icc       BLOB,                     -- DE 55 of a reversal without a usable answer, the same rule
    original_data      TEXT,                     -- DE 61, digits; empty or NULL = none
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
    host_text          TEXT,                     -- DE 63.2
    balance            TEXT,                     -- DE 54 as it came
    card_class         TEXT    NOT NULL DEFAULT 'domestic' -- word: domestic, foreign; as settlement counts
) STRICT;
CREATE INDEX txn_by_time ON txn (created_at, id);
CREATE INDEX txn_by_batch ON txn (batch, stan);
CREATE INDEX txn_by_card ON txn (card_token, created_at, id) WHERE card_token IS NOT NULL;
CREATE INDEX txn_open ON txn (outcome) WHERE outcome = 'none';
CREATE INDEX txn_by_stan ON txn (stan) WHERE stan IS NOT NULL;
CREATE INDEX txn_by_rrn ON txn (rrn) WHERE rrn IS NOT NULL;
CREATE INDEX txn_by_auth_code ON txn (auth_code) WHERE auth_code IS NOT NULL AND kind = 'pre-auth';
CREATE INDEX txn_by_original ON txn (original) WHERE original IS NOT NULL;
CREATE INDEX txn_sealed ON txn (batch) WHERE card_sealed IS NOT NULL;
CREATE INDEX txn_by_words ON txn (kind, outcome, operator, created_at, id);

-- What is owed to the bank or the shop, one entry of each type for a transaction: from Sending until it is disarmed, and
-- for as long as its transaction once it was owed.
CREATE TABLE queue (
    txn           INTEGER NOT NULL REFERENCES txn (id), -- whose
    type          TEXT    NOT NULL,  -- word: reversal, script, offline-sale, advice, refund-unknown
    state         TEXT    NOT NULL,  -- armed (the request is out), or a word: due, sending, queued, done, denied, ...
    reason        TEXT,              -- DE 39 of a 0400: 98, A0, 06; NULL for other types
    attempts      INTEGER NOT NULL,  -- attempts counted before their first byte
    ask_again     INTEGER NOT NULL,  -- 1 = the host answered 25 once and is asked once more
    created_at    INTEGER NOT NULL,  -- time it became owed; while armed the time of Sending
    changed_at    INTEGER NOT NULL,  -- time of the last attempt, answer or word of a person
    response_code TEXT,              -- DE 39 of the last answer; NULL = none
    last_error    TEXT    NOT NULL,  -- cause in words; empty = none
    resolution    TEXT,              -- word: paid, not-paid, written-off; NULL = not ended by the shop
    resolved_by   TEXT,              -- 2 digits: who ended it; NULL = not ended by the shop
    stan          INTEGER,           -- DE 11 of a script result, once taken; the other types carry their transaction's
    icc           BLOB    NOT NULL,  -- DE 55 of the message, BER-TLV without tags 57, 5A, 5F24
    PRIMARY KEY (txn, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_open ON queue (txn) WHERE state <> 'done';

-- Totals over time: what moved money, by the hour of its creation, kept in the commits that change it. Sums over any time
-- cost hours and not rows.
CREATE TABLE total (
    hour          INTEGER NOT NULL,  -- created_at in whole hours since 1970
    kind          TEXT    NOT NULL,  -- word
    outcome       TEXT    NOT NULL,  -- word: approved, stored-offline
    card_class    TEXT    NOT NULL,  -- word: domestic, foreign
    operator      TEXT    NOT NULL,  -- 2 digits
    count         INTEGER NOT NULL,  -- how many
    amount        INTEGER NOT NULL,  -- sum of their approved amounts
    voided_count  INTEGER NOT NULL,  -- how many of them were undone later
    voided_amount INTEGER NOT NULL,  -- sum of their approved amounts
    PRIMARY KEY (hour, kind, outcome, card_class, operator)
) STRICT, WITHOUT ROWID;

-- What is known of each ply of paper.
CREATE TABLE ply (
    txn    INTEGER NOT NULL REFERENCES txn (id), -- the transaction
    ply    TEXT    NOT NULL,  -- word: merchant, bank, customer
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

-- What was downloaded from the bank, one row for each kind that ever was.
CREATE TABLE download (
    kind       TEXT    NOT NULL PRIMARY KEY, -- word: capk, aid, parameters, blacklist, contactless
    list       BLOB,                 -- 32 bytes: names the list under which rows are built aside; NULL = none under way
    begun_at   INTEGER,              -- time the download under way was begun; NULL = none under way
    swapped_at INTEGER NOT NULL      -- time the table in use came into use; 0 = never
) STRICT, WITHOUT ROWID;

-- The rows of those tables. No cardholder data: blacklisted cards stand as tokens.
CREATE TABLE download_row (
    kind   TEXT    NOT NULL REFERENCES download (kind), -- word
    staged INTEGER NOT NULL,         -- 1 = built aside, 0 = in use
    key    BLOB    NOT NULL,         -- RID and index, AID, item number, card token; empty = the one row there is
    data   BLOB    NOT NULL,         -- as the bank sent it
    digest BLOB    NOT NULL,         -- SHA-256 over kind, key and data: a row that does not fit it is not used
    PRIMARY KEY (kind, staged, key)
) STRICT, WITHOUT ROWID;

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
