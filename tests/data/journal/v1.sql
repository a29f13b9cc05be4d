-- The journal as schema 1 stored it, dumped from a database that the code of that schema made (storage key 32 times 5A).
-- It holds an open sale, reversals armed, due, failed and done, held and unconfirmed plies, a sale that was never sent,
-- a foreign card, a cancelled one, signed-on keys, an operator with wrong passwords, two batches, timelines, an audit line.
-- Never edited: every released schema keeps one such file, and the suite opens each with the newest code.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE batch (
    id          INTEGER PRIMARY KEY, -- internal, rising
    number      INTEGER NOT NULL,    -- DE 60.2, 1 to 999999
    opened_at   INTEGER NOT NULL,    -- time
    closed_at   INTEGER,             -- time; NULL while it is the open one
    terminal_id TEXT,                -- DE 41, 8 characters, of its first request; NULL before
    merchant_id TEXT,                -- DE 42, 15 characters, of its first request; NULL before
    currency    TEXT                 -- ISO 4217, three letters, of its first request; NULL before
) STRICT;
INSERT INTO batch VALUES(1,1,1795000000000000,1795000050000000,NULL,NULL,NULL);
INSERT INTO batch VALUES(2,17,1795000050000000,NULL,'10000001','102100058120001','CNY');
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
INSERT INTO terminal VALUES(1,'b5d1667f',9,2,-1500000,1795000300000000,X'846b2dd24eb2e3a124df63929b2a936fddf6d820bdc06b71b8d3ad4e14b1df89d9490e7e415e59f02bef4627bfa94d543ee0c69f8a898b694ee8702116','b5d1667f',X'01020304',1795000050000000);
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
INSERT INTO txn VALUES(1,'c6dba0bd09611116143080be6668d974','v1-cancelled','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000060000000,'till 4','[["order","\"17\", ü"]]',2,2,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'cancelled','customer-timeout',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO txn VALUES(2,'defd5504e88024517a2196591f75d96e','v1-approved','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000070000000,'till 4','[["order","\"17\", ü"]]',2,2,2,1795000071000000,X'ac4d29c1fe772b46889663271afa074cf4330e52d54aba7c92a96bb55284475677cdcb86a38efb458b82c28bad8a924c15','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','signature',1,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','approved','approved',1250,1795000100000000,'00','123456789012','654321','20261122090507','1122','48021000','01020000   03080000','CUP','交易成功');
INSERT INTO txn VALUES(3,'c2f67c938ce5f1c10d5bcfcec836a992','v1-foreign','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000075000000,'till 4','[["order","\"17\", ü"]]',2,2,3,1795000076000000,X'319abe0a2d5f313fec0963ea4886d823bb113c2c3f0fe8925cecb7e9c5ae99cdbbea9260f14ce798f86aaa7cbe6b69d0ec','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','approved','approved',1250,1795000100000000,'00','123456789012','654321','20261122090507','1122','48021000','01020000   03080000','VIS','交易成功');
INSERT INTO txn VALUES(4,'513392fabdacda7bb296055213e79361','v1-unsent','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000080000000,'till 4','[["order","\"17\", ü"]]',2,2,4,1795000081000000,X'a12da08387847a86d5d6de5eab14647dc2ddd3fa7fc4aa3f024a5d5d0ff61d5d2c1d1eabad230fde4c9e77942bbe0cb185','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','failed','connect-failed',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO txn VALUES(5,'edd1430b430cf7128d2c8a2abd7d38b2','v1-done','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000090000000,'till 4','[["order","\"17\", ü"]]',2,2,5,1795000091000000,X'2808ac4c86191767c4101310ca74412fd422f4de322b77e4d5837e7f51ce82c11b8f65fc9ef67e25305f19e16a0d562ff1','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','reversed','host-timeout',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO txn VALUES(6,'12a8d051de177ac18ec6196927b5477d','v1-failed','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000100000000,'till 4','[["order","\"17\", ü"]]',2,2,6,1795000101000000,X'25f5f563e553f36788e8ae9d23957eabdb95ed0e33507cefca550d9c91a7d9a4add27df2cd93b2821d7fbfcb2fe5a5e001','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','declined','declined-card',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO txn VALUES(7,'1435fb968815833190eaa44b48c1b39e','v1-due','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000110000000,'till 4','[["order","\"17\", ü"]]',2,2,7,1795000111000000,X'ec3caeef6b73a1a84dbc9aec53b4541c9856420d2b1a163ed2e8ab160381e6eb07de39723ec756101cc36ba75679ccc993','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','unknown','mac-error',0,1795000100000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO txn VALUES(8,'aa06b00803c4cfe7ece75e15e9102d73','v1-open','sale',1250,'CNY',X'0707070707070707070707070707070707070707070707070707070707070707','01',1795000140000000,'till 4','[["order","\"17\", ü"]]',2,2,8,1795000141000000,X'3cc2c0091205fc60bae25598d5c5d875e605fc33cb762939101ba6de85267ad7eac62f9c4e2f037ebc55246c435f886da0','b5d1667f','622588******5678',1,'chip','0123456789abcdef','unionpay','A000000333010101','UnionPay Debit','online-pin',0,'[["ARQC","0011223344556677"]]','0200','000000','051','00','22','60','10000001','102100058120001',X'9f260102',X'950100','none',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO reversal VALUES(5,'done','98',1,0,1795000100000000,1795000300000000,'00','',X'950100');
INSERT INTO reversal VALUES(6,'failed','06',3,0,1795000100000000,1795000300000000,NULL,'no answer',X'dead');
INSERT INTO reversal VALUES(7,'due','A0',1,1,1795000100000000,1795000300000000,'25','no answer',X'950100');
INSERT INTO reversal VALUES(8,'armed','98',0,0,1795000141000000,1795000141000000,NULL,'',X'950100');
CREATE TABLE ply (
    txn    INTEGER NOT NULL REFERENCES txn (id), -- the transaction
    ply    TEXT    NOT NULL,  -- word: merchant, customer
    copy   INTEGER NOT NULL,  -- 0 = original, 1, 2, ... = reprints
    state  TEXT    NOT NULL,  -- word: queued, printing, confirmed, unconfirmed, held, failed, abandoned
    reason TEXT    NOT NULL,  -- cause in words; empty = none
    PRIMARY KEY (txn, ply, copy)
) STRICT, WITHOUT ROWID;
INSERT INTO ply VALUES(2,'customer',0,'held','');
INSERT INTO ply VALUES(2,'merchant',0,'confirmed','power cut');
INSERT INTO ply VALUES(2,'merchant',1,'unconfirmed','power cut');
CREATE TABLE timeline (
    id   INTEGER PRIMARY KEY, -- order of writing
    txn  TEXT    NOT NULL,    -- 32 hex digits: the transaction's name
    at   INTEGER NOT NULL,    -- time
    what TEXT    NOT NULL,    -- hyphenated word
    text TEXT    NOT NULL,    -- English sentence; masked numbers only
    stan INTEGER              -- DE 11; NULL = none
) STRICT;
INSERT INTO timeline VALUES(1,'aa06b00803c4cfe7ece75e15e9102d73',1795000141000000,'created','…',2);
INSERT INTO timeline VALUES(2,'aa06b00803c4cfe7ece75e15e9102d73',1795000141000000,'host-sent','…',2);
INSERT INTO timeline VALUES(3,'defd5504e88024517a2196591f75d96e',1795000141000000,'created','…',2);
CREATE TABLE operator (
    id           TEXT PRIMARY KEY,   -- 2 digits
    password_phc TEXT    NOT NULL,   -- Argon2id in PHC form
    factory      INTEGER NOT NULL,   -- 1 = the factory password still stands
    failures     INTEGER NOT NULL,   -- wrong passwords in a row
    locked_until INTEGER NOT NULL    -- time; 0 = not locked
) STRICT, WITHOUT ROWID;
INSERT INTO operator VALUES('00','$argon2id$test',1,0,0);
INSERT INTO operator VALUES('01','$argon2id$test',0,2,1795000500000000);
INSERT INTO operator VALUES('02','$argon2id$test',1,0,0);
INSERT INTO operator VALUES('03','$argon2id$test',1,0,0);
INSERT INTO operator VALUES('99','$argon2id$test',1,0,0);
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY, -- order of writing
    at       INTEGER NOT NULL,    -- time
    operator TEXT,                -- 2 digits; NULL = nobody was signed on
    text     TEXT    NOT NULL     -- English sentence; masked numbers only
) STRICT;
INSERT INTO audit VALUES(1,1795000142000000,'00','unlocked 01');
CREATE INDEX txn_by_time ON txn (created_at, id);
CREATE INDEX txn_by_batch ON txn (batch, stan);
CREATE INDEX txn_by_card ON txn (card_token, created_at, id) WHERE card_token IS NOT NULL;
CREATE INDEX txn_open ON txn (outcome) WHERE outcome = 'none';
CREATE INDEX reversal_open ON reversal (state) WHERE state <> 'done';
CREATE INDEX ply_open ON ply (txn) WHERE state IN ('held', 'queued', 'printing');
CREATE INDEX timeline_by_txn ON timeline (txn, id);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
COMMIT;
PRAGMA user_version=1;
