-- The journal as schema 2 stored it: version 1 of this folder, brought up by the step to version 2.
-- Never edited: every released schema adds a file like this.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY, -- order of writing
    at       INTEGER NOT NULL,    -- time
    operator TEXT,                -- 2 digits; NULL = nobody was signed on
    text     TEXT    NOT NULL     -- English sentence; masked numbers only
) STRICT;
INSERT INTO "audit" VALUES(1,1795000142000000,'00','unlocked 01');
CREATE TABLE batch (
    id          INTEGER PRIMARY KEY, -- internal, rising
    number      INTEGER NOT NULL,    -- DE 60.2, 1 to 999999
    opened_at   INTEGER NOT NULL,    -- time
    closed_at   INTEGER,             -- time; NULL while it is the open one
    terminal_id TEXT,                -- DE 41, 8 characters, of its first request; NULL before
    merchant_id TEXT,                -- DE 42, 15 characters, of its first request; NULL before
    currency    TEXT                 -- ISO 4217, three letters, of its first request; NULL before
, state TEXT NOT NULL DEFAULT 'open', begun_at INTEGER, operator TEXT, field48 TEXT, settle_stan INTEGER, verdict_domestic TEXT, verdict_foreign TEXT, uploaded INTEGER NOT NULL DEFAULT 0, forced INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "batch" VALUES(1,1,1795000000000000,1795000050000000,NULL,NULL,NULL,'closed',NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "batch" VALUES(2,17,1795000050000000,NULL,'10000001','102100058120001','CNY','open',NULL,NULL,NULL,NULL,NULL,NULL,0,0);
CREATE TABLE operator (
    id           TEXT PRIMARY KEY,   -- 2 digits
    password_phc TEXT    NOT NULL,   -- Argon2id in PHC form
    factory      INTEGER NOT NULL,   -- 1 = the factory password still stands
    failures     INTEGER NOT NULL,   -- wrong passwords in a row
    locked_until INTEGER NOT NULL    -- time; 0 = not locked
) STRICT, WITHOUT ROWID;
INSERT INTO "operator" VALUES('00','$argon2id$test',1,0,0);
INSERT INTO "operator" VALUES('01','$argon2id$test',0,2,1795000500000000);
INSERT INTO "operator" VALUES('02','$argon2id$test',1,0,0);
INSERT INTO "operator" VALUES('03','$argon2id$test',1,0,0);
INSERT INTO "operator" VALUES('99','$argon2id$test',1,0,0);
CREATE TABLE ply (
    txn    INTEGER NOT NULL REFERENCES txn (id), -- the transaction
    ply    TEXT    NOT NULL,  -- word: merchant, customer
    copy   INTEGER NOT NULL,  -- 0 = original, 1, 2, ... = reprints
    state  TEXT    NOT NULL,  -- word: queued, printing, confirmed, unconfirmed, held, failed, abandoned
    reason TEXT    NOT NULL,  -- cause in words; empty = none
    PRIMARY KEY (txn, ply, copy)
) STRICT, WITHOUT ROWID;
INSERT INTO "ply" VALUES(2,'customer',0,'held','');
INSERT INTO "ply" VALUES(2,'merchant',0,'confirmed','power cut');
INSERT INTO "ply" VALUES(2,'merchant',1,'unconfirmed','power cut');
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
INSERT INTO "queue" VALUES(5,'reversal','done','98',1,0,1795000100000000,1795000300000000,'00','',NULL,NULL,NULL,X'950100');
INSERT INTO "queue" VALUES(6,'reversal','failed','06',3,0,1795000100000000,1795000300000000,NULL,'no answer',NULL,NULL,NULL,X'DEAD');
INSERT INTO "queue" VALUES(7,'reversal','due','A0',1,1,1795000100000000,1795000300000000,'25','no answer',NULL,NULL,NULL,X'950100');
INSERT INTO "queue" VALUES(8,'reversal','armed','98',0,0,1795000141000000,1795000141000000,NULL,'',NULL,NULL,NULL,X'950100');
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
, queue_paused TEXT, restore_unconfirmed INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "terminal" VALUES(1,'b5d1667f',9,2,-1500000,1795000300000000,X'846B2DD24EB2E3A124DF63929B2A936FDDF6D820BDC06B71B8D3AD4E14B1DF89D9490E7E415E59F02BEF4627BFA94D543EE0C69F8A898B694EE8702116','b5d1667f',X'01020304',1795000050000000,NULL,0);
CREATE TABLE timeline (
    id   INTEGER PRIMARY KEY, -- order of writing
    txn  TEXT    NOT NULL,    -- 32 hex digits: the transaction's name
    at   INTEGER NOT NULL,    -- time
    what TEXT    NOT NULL,    -- hyphenated word
    text TEXT    NOT NULL,    -- English sentence; masked numbers only
    stan INTEGER              -- DE 11; NULL = none
) STRICT;
INSERT INTO "timeline" VALUES(1,'aa06b00803c4cfe7ece75e15e9102d73',1795000141000000,'created','…',2);
INSERT INTO "timeline" VALUES(2,'aa06b00803c4cfe7ece75e15e9102d73',1795000141000000,'host-sent','…',2);
INSERT INTO "timeline" VALUES(3,'defd5504e88024517a2196591f75d96e',1795000141000000,'created','…',2);
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
INSERT INTO "total" VALUES(498611,'sale','approved','domestic','01',1,1250,0,0);
INSERT INTO "total" VALUES(498611,'sale','approved','foreign','01',1,1250,0,0);
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
, original INTEGER REFERENCES txn (id), original_batch INTEGER, original_stan INTEGER, original_date TEXT, original_rrn TEXT, original_auth_code TEXT, original_card TEXT, told_auth_code TEXT, supervisor TEXT, allow_partial INTEGER NOT NULL DEFAULT 0, linked INTEGER NOT NULL DEFAULT 0, original_data TEXT, balance TEXT, card_class TEXT NOT NULL DEFAULT 'domestic') STRICT;
INSERT INTO "txn" VALUES(1,'c6dba0bd09611116143080be6668d974','v1-cancelled','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000060000000,'till 4','[["order","\"17\", ü"]]',2,2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'cancelled','customer-timeout',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(2,'defd5504e88024517a2196591f75d96e','v1-approved','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000070000000,'till 4','[["order","\"17\", ü"]]',2,2,2,1795000071000000,X'AC4D29C1FE772B46889663271AFA074CF4330E52D54ABA7C92A96BB55284475677CDCB86A38EFB458B82C28BAD8A924C15','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','signature',1,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','approved','approved',1250,1795000100000000,'00','123456789012','654321','20261122090507','1122','48021000','01020000   03080000','CUP','交易成功',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(3,'c2f67c938ce5f1c10d5bcfcec836a992','v1-foreign','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000075000000,'till 4','[["order","\"17\", ü"]]',2,2,3,1795000076000000,X'319ABE0A2D5F313FEC0963EA4886D823BB113C2C3F0FE8925CECB7E9C5AE99CDBBEA9260F14CE798F86AAA7CBE6B69D0EC','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','approved','approved',1250,1795000100000000,'00','123456789012','654321','20261122090507','1122','48021000','01020000   03080000','VIS','交易成功',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'foreign');
INSERT INTO "txn" VALUES(4,'513392fabdacda7bb296055213e79361','v1-unsent','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000080000000,'till 4','[["order","\"17\", ü"]]',2,2,4,1795000081000000,X'A12DA08387847A86D5D6DE5EAB14647DC2DDD3FA7FC4AA3F024A5D5D0FF61D5D2C1D1EABAD230FDE4C9E77942BBE0CB185','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','failed','connect-failed',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(5,'edd1430b430cf7128d2c8a2abd7d38b2','v1-done','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000090000000,'till 4','[["order","\"17\", ü"]]',2,2,5,1795000091000000,X'2808AC4C86191767C4101310CA74412FD422F4DE322B77E4D5837E7F51CE82C11B8F65FC9EF67E25305F19E16A0D562FF1','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','reversed','host-timeout',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(6,'12a8d051de177ac18ec6196927b5477d','v1-failed','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000100000000,'till 4','[["order","\"17\", ü"]]',2,2,6,1795000101000000,X'25F5F563E553F36788E8AE9D23957EABDB95ED0E33507CEFCA550D9C91A7D9A4ADD27DF2CD93B2821D7FBFCB2FE5A5E001','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','declined','declined-card',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(7,'1435fb968815833190eaa44b48c1b39e','v1-due','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000110000000,'till 4','[["order","\"17\", ü"]]',2,2,7,1795000111000000,X'EC3CAEEF6B73A1A84DBC9AEC53B4541C9856420D2B1A163ED2E8AB160381E6EB07DE39723EC756101CC36BA75679CCC993','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','unknown','mac-error',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
INSERT INTO "txn" VALUES(8,'aa06b00803c4cfe7ece75e15e9102d73','v1-open','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000140000000,'till 4','[["order","\"17\", ü"]]',2,2,8,1795000141000000,X'3CC2C0091205FC60BAE25598D5C5D875E605FC33CB762939101BA6DE85267AD7EAC62F9C4E2F037EBC55246C435F886DA0','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9F260102',X'950100','none',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,'domestic');
CREATE INDEX txn_by_time ON txn (created_at, id);
CREATE INDEX txn_by_batch ON txn (batch, stan);
CREATE INDEX txn_by_card ON txn (card_token, created_at, id) WHERE card_token IS NOT NULL;
CREATE INDEX txn_open ON txn (outcome) WHERE outcome = 'none';
CREATE INDEX ply_open ON ply (txn) WHERE state IN ('held', 'queued', 'printing');
CREATE INDEX timeline_by_txn ON timeline (txn, id);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE INDEX batch_by_number ON batch (number);
CREATE INDEX batch_by_end ON batch (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX txn_by_stan ON txn (stan) WHERE stan IS NOT NULL;
CREATE INDEX txn_by_rrn ON txn (rrn) WHERE rrn IS NOT NULL;
CREATE INDEX txn_by_auth_code ON txn (auth_code) WHERE auth_code IS NOT NULL AND kind = 'pre-auth';
CREATE INDEX txn_by_original ON txn (original) WHERE original IS NOT NULL;
CREATE INDEX txn_sealed ON txn (batch) WHERE card_sealed IS NOT NULL;
CREATE INDEX txn_by_words ON txn (kind, outcome, operator, created_at, id);
CREATE INDEX queue_open ON queue (txn) WHERE state <> 'done';
COMMIT;
PRAGMA user_version=2;
