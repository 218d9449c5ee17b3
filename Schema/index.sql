-- The identifier index of one generation: state/generations/NNNNNN/index.sqlite.
-- Migrations are numbered; PRAGMA user_version holds the last one applied, PRAGMA application_id is 0x4C545249 ('LTRI').
-- Codes are BLOBs of two bytes a level, big-endian, so that byte order is the trie's order; times are milliseconds since 1970.

-- migration 1: items, identifiers, trie, collisions, tombstones, quarantine, history, cursor

-- What the index was made for: generation, levels, codes (of a level), model (SHA-256), policy (for collisions: reassign,
-- suffix or share; from migration 3 on), kernel (the arithmetic that encoded; absent where that was not recorded).
-- And, changed by transactions: commit (its number, and a random number drawn for it), journal (number and random number
-- of the commit that last wrote to index.journal, and where its frame begins and ends).
CREATE TABLE fact (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every item of the catalog's `embeddings`, in the catalog's key order.
CREATE TABLE item (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 511),
    digest BLOB NOT NULL CHECK (length(digest) = 16),     -- of the record this row was made from (XXH3-128)
    codes BLOB,                                           -- its identifier; null: quarantined before it ever had one
    natural BLOB,                                         -- codes that the tokenizer gives its present embedding
    quantisation_error REAL,                              -- squared length of the residual after the last level
    margin REAL,                                          -- smallest gap between nearest and second-nearest code
    status INTEGER NOT NULL CHECK (status IN (0, 1, 2)),  -- 0 live, 1 stale, 2 quarantined
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The trie's leaves: identifiers of live items.
CREATE TABLE identifier (
    codes BLOB NOT NULL PRIMARY KEY,
    item BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The trie's inner nodes, except on the last two levels (migration 4), which are counted in `identifier`.
CREATE TABLE trie_node (
    prefix BLOB NOT NULL,
    code INTEGER NOT NULL CHECK (code BETWEEN 0 AND 65535),
    items INTEGER NOT NULL CHECK (items > 0),             -- live items below prefix and code
    PRIMARY KEY (prefix, code)
) STRICT, WITHOUT ROWID;

-- Items that could not have their natural codes, and how the collision was resolved.
CREATE TABLE collision (
    item BLOB NOT NULL PRIMARY KEY,
    bucket BLOB NOT NULL,                                 -- the natural codes at that time
    codes BLOB NOT NULL,                                  -- the identifier assigned
    rank INTEGER NOT NULL,                                -- how many nearer codes, smaller suffixes or earlier owners
    rule TEXT NOT NULL,                                   -- see CollisionRule
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX collision_bucket ON collision (bucket);

-- Identifiers of deleted items: no other item of this generation gets them.
CREATE TABLE tombstone (
    codes BLOB NOT NULL PRIMARY KEY,
    item BLOB NOT NULL,
    bucket BLOB NOT NULL,                                 -- natural codes when the identifier was assigned
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tombstone_item ON tombstone (item);

-- Records that cannot be encoded.
CREATE TABLE quarantine (
    item BLOB NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened to identifiers after they were first assigned.
CREATE TABLE history (
    sequence INTEGER PRIMARY KEY,
    item BLOB NOT NULL,
    old BLOB,
    new BLOB,
    at INTEGER NOT NULL,
    why TEXT NOT NULL                                     -- edited, deleted, returned
) STRICT;
CREATE INDEX history_item ON history (item, sequence);

-- The version of the catalog that the rows correspond to; written in the transaction that makes it true.
CREATE TABLE cursor (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    catalog_transaction INTEGER NOT NULL,
    boot TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts that would otherwise need a scan: live, stale, quarantined, collisions, tombstones.
CREATE TABLE tally (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL CHECK (value >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO tally (name, value) VALUES
    ('live', 0), ('stale', 0), ('quarantined', 0), ('collisions', 0), ('tombstones', 0);

-- migration 2: where the catalog's change log stood at the cursor's version; null where it did not record all of it

ALTER TABLE cursor ADD COLUMN log_epoch BLOB CHECK (length(log_epoch) = 16);
ALTER TABLE cursor ADD COLUMN log_sequence INTEGER;
ALTER TABLE cursor ADD COLUMN log_nonce INTEGER;

-- migration 3: collision policies; history has also `reassigned` (edited, with a new identifier) and `given_away`

-- An index made before there was a choice of policies.
INSERT INTO fact (name, value) SELECT 'policy', 'reassign' WHERE EXISTS (SELECT 1 FROM fact);

-- The trie's leaves under policy `share`, where `identifier` stays empty. Under `suffix` the codes of `identifier` and
-- `tombstone` are one more than the levels; those of `item.natural` and the buckets are as many.
CREATE TABLE shared_identifier (
    codes BLOB NOT NULL,
    item BLOB NOT NULL,
    PRIMARY KEY (codes, item)
) STRICT, WITHOUT ROWID;

-- Identifiers that items left. Those of `share` block no item; others go to no other item, unless the configuration says
-- after how long they may. An edited item may have left more than one.
CREATE TABLE tombstone_of_policy (
    codes BLOB NOT NULL,
    item BLOB NOT NULL,
    bucket BLOB NOT NULL,                                 -- natural codes when the identifier was assigned
    since INTEGER NOT NULL,
    deleted INTEGER NOT NULL CHECK (deleted IN (0, 1)),   -- 1: the item's last one; 0: the item was edited
    PRIMARY KEY (codes, item)
) STRICT, WITHOUT ROWID;
INSERT INTO tombstone_of_policy (codes, item, bucket, since, deleted)
    SELECT codes, item, bucket, since, 1 FROM tombstone;
DROP TABLE tombstone;
ALTER TABLE tombstone_of_policy RENAME TO tombstone;
CREATE INDEX tombstone_item ON tombstone (item);

-- migration 4: inner nodes of the last level but one are counted in `identifier` too

-- They were nearly as many as items, and each fell on another page.
DELETE FROM trie_node WHERE length(prefix) / 2 + 1 > max(1,
    (SELECT CAST(value AS INTEGER) FROM fact WHERE name = 'levels')
        + (SELECT count(*) FROM fact WHERE name = 'policy' AND value = 'suffix') - 2);
