-- What each tenant wants to hear after a call; nothing yet.
ALTER TABLE tenants ADD COLUMN wishes JSONB DEFAULT '{}'::jsonb NOT NULL;

ALTER TABLE calls ADD COLUMN said BYTEA;
ALTER TABLE calls ADD COLUMN remark BYTEA;
ALTER TABLE calls ADD COLUMN remarks INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE calls ADD COLUMN opened_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE calls ADD COLUMN opened_by UUID;
ALTER TABLE effects ADD COLUMN text_id UUID;

CREATE TABLE texts (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    day DATE NOT NULL,
    parties_index BYTEA NOT NULL,
    customer_index BYTEA,
    messages BYTEA,
    contact_id UUID,
    user_id UUID,
    match TEXT DEFAULT '' NOT NULL,
    activity_id TEXT DEFAULT '' NOT NULL,
    said BYTEA,
    received INTEGER DEFAULT '0' NOT NULL,
    sent INTEGER DEFAULT '0' NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_texts PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_texts_tenant_id_connection_id_parties_index_day UNIQUE (tenant_id, connection_id, parties_index, day),
    CONSTRAINT ck_texts_match_length CHECK (length(match) <= 200)
);
CREATE INDEX ix_texts_tenant_id_last_at ON texts (tenant_id, last_at);
CREATE INDEX ix_texts_tenant_id_customer_index ON texts (tenant_id, customer_index);

ALTER TABLE texts ENABLE ROW LEVEL SECURITY;
ALTER TABLE texts FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON texts
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
