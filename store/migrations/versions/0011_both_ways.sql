-- How much one run may remove without asking; three in ten so far.
ALTER TABLE tenants ADD COLUMN contacts JSONB DEFAULT '{}'::jsonb NOT NULL;

-- All a record says as one fingerprint, and when it last changed over there. Links from before have none until read.
ALTER TABLE links ADD COLUMN look BYTEA;
ALTER TABLE links ADD COLUMN changed_at TIMESTAMP WITH TIME ZONE;

CREATE TABLE pairs (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    crm_id UUID NOT NULL,
    book_id UUID NOT NULL,
    state TEXT DEFAULT '' NOT NULL,
    left_module TEXT DEFAULT '' NOT NULL,
    left_id TEXT DEFAULT '' NOT NULL,
    left_mark BYTEA,
    left_look BYTEA,
    right_module TEXT DEFAULT '' NOT NULL,
    right_id TEXT DEFAULT '' NOT NULL,
    right_mark BYTEA,
    right_look BYTEA,
    agreed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_pairs PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_pairs_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_pairs_left_module_length CHECK (length(left_module) <= 200),
    CONSTRAINT ck_pairs_right_module_length CHECK (length(right_module) <= 200)
);
CREATE UNIQUE INDEX one_left_partner ON pairs (tenant_id, book_id, left_module, left_id) WHERE left_id <> '';
CREATE UNIQUE INDEX one_right_partner ON pairs (tenant_id, book_id, right_module, right_id) WHERE right_id <> '';

ALTER TABLE pairs ENABLE ROW LEVEL SECURITY;
ALTER TABLE pairs FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON pairs
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

CREATE TABLE journal (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    crm_id UUID NOT NULL,
    book_id UUID NOT NULL,
    why TEXT NOT NULL,
    field TEXT NOT NULL,
    side TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    entry BYTEA,
    undone_by UUID,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    undone_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_journal PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_journal_why_length CHECK (length(why) <= 200),
    CONSTRAINT ck_journal_field_length CHECK (length(field) <= 200),
    CONSTRAINT ck_journal_side_length CHECK (length(side) <= 200),
    CONSTRAINT ck_journal_state_length CHECK (length(state) <= 200)
);
CREATE INDEX ix_journal_tenant_id_at ON journal (tenant_id, at);

ALTER TABLE journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON journal
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
