-- The registry: state/letterd.sqlite. Generations, which one is active, and the audit log.
-- Migrations are numbered; PRAGMA user_version holds the last one applied, PRAGMA application_id is 0x4C545252 ('LTRR').
-- Times are milliseconds since 1970.

-- migration 1: generations, the active one, audit

CREATE TABLE generation (
    number INTEGER NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('building', 'candidate', 'active', 'retired', 'failed')),
    created INTEGER NOT NULL,
    promoted INTEGER,                                     -- when it last became active
    model TEXT NOT NULL,                                  -- SHA-256 of tokenizer.safetensors
    detail TEXT NOT NULL DEFAULT ''                       -- why it failed
) STRICT;
CREATE UNIQUE INDEX generation_active ON generation (state) WHERE state = 'active';

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    verb TEXT NOT NULL,                                   -- publish, promote, fail
    generation INTEGER,
    detail TEXT NOT NULL
) STRICT;
