-- From version 1 to version 2: the queue of all types in place of the reversals, terms of follow-ups, settlement.
-- One transaction with the new user_version around it; see migrate.rs. Never edited once released.
ALTER TABLE batch ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
ALTER TABLE batch ADD COLUMN begun_at INTEGER;
ALTER TABLE batch ADD COLUMN operator TEXT;
ALTER TABLE batch ADD COLUMN field48 TEXT;
ALTER TABLE batch ADD COLUMN settle_stan INTEGER;
ALTER TABLE batch ADD COLUMN verdict_domestic TEXT;
ALTER TABLE batch ADD COLUMN verdict_foreign TEXT;
ALTER TABLE batch ADD COLUMN uploaded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;
UPDATE batch SET state = 'closed' WHERE closed_at IS NOT NULL;
CREATE INDEX batch_by_number ON batch (number);
CREATE INDEX batch_by_end ON batch (closed_at) WHERE closed_at IS NOT NULL;

ALTER TABLE terminal ADD COLUMN queue_paused TEXT;
ALTER TABLE terminal ADD COLUMN restore_unconfirmed INTEGER NOT NULL DEFAULT 0;

ALTER TABLE txn ADD COLUMN original INTEGER REFERENCES txn (id);
ALTER TABLE txn ADD COLUMN original_batch INTEGER;
ALTER TABLE txn ADD COLUMN original_stan INTEGER;
ALTER TABLE txn ADD COLUMN original_date TEXT;
ALTER TABLE txn ADD COLUMN original_rrn TEXT;
ALTER TABLE txn ADD COLUMN original_auth_code TEXT;
ALTER TABLE txn ADD COLUMN original_card TEXT;
ALTER TABLE txn ADD COLUMN told_auth_code TEXT;
ALTER TABLE txn ADD COLUMN supervisor TEXT;
ALTER TABLE txn ADD COLUMN allow_partial INTEGER NOT NULL DEFAULT 0;
ALTER TABLE txn ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE txn ADD COLUMN original_data TEXT;
ALTER TABLE txn ADD COLUMN balance TEXT;
ALTER TABLE txn ADD COLUMN card_class TEXT NOT NULL DEFAULT 'domestic';
UPDATE txn SET card_class = 'foreign' WHERE trim(organisation) NOT IN ('', 'CUP', '000');
CREATE INDEX txn_by_stan ON txn (stan) WHERE stan IS NOT NULL;
CREATE INDEX txn_by_rrn ON txn (rrn) WHERE rrn IS NOT NULL;
CREATE INDEX txn_by_auth_code ON txn (auth_code) WHERE auth_code IS NOT NULL AND kind = 'pre-auth';
CREATE INDEX txn_by_original ON txn (original) WHERE original IS NOT NULL;
CREATE INDEX txn_sealed ON txn (batch) WHERE card_sealed IS NOT NULL;
CREATE INDEX txn_by_words ON txn (kind, outcome, operator, created_at, id);

CREATE TABLE queue (
    txn           INTEGER NOT NULL REFERENCES txn (id),
    type          TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT,
    attempts      INTEGER NOT NULL,
    ask_again     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL,
    response_code TEXT,
    last_error    TEXT    NOT NULL,
    resolution    TEXT,
    resolved_by   TEXT,
    stan          INTEGER,
    icc           BLOB    NOT NULL,
    PRIMARY KEY (txn, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_open ON queue (txn) WHERE state <> 'done';

CREATE TABLE total (
    hour          INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    card_class    TEXT    NOT NULL,
    operator      TEXT    NOT NULL,
    count         INTEGER NOT NULL,
    amount        INTEGER NOT NULL,
    voided_count  INTEGER NOT NULL,
    voided_amount INTEGER NOT NULL,
    PRIMARY KEY (hour, kind, outcome, card_class, operator)
) STRICT, WITHOUT ROWID;

INSERT INTO queue (txn, type, state, reason, attempts, ask_again, created_at, changed_at, response_code, last_error, icc)
    SELECT txn, 'reversal', state, reason, attempts, ask_again, created_at, changed_at, response_code, last_error, icc
    FROM reversal;
DROP TABLE reversal;

-- Version 1 knew sales only, and none could be voided.
INSERT INTO total
    SELECT created_at / 3600000000, kind, outcome, card_class, operator, count(*), sum(approved_amount), 0, 0
    FROM txn WHERE outcome = 'approved' GROUP BY 1, 2, 3, 4, 5;
