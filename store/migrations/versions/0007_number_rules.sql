-- What each tenant decided about numbers that several people share, and which record comes first; as it comes so far.
ALTER TABLE tenants ADD COLUMN matching JSONB DEFAULT '{}'::jsonb NOT NULL;

-- Why each call found its person.
ALTER TABLE calls ADD COLUMN trace BYTEA;

-- The company a record belongs to in the CRM.
ALTER TABLE links ADD COLUMN account TEXT DEFAULT '' NOT NULL;

CREATE TABLE number_rules (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    number_index BYTEA NOT NULL,
    number BYTEA,
    contact_id UUID NOT NULL,
    user_id UUID,
    chosen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_number_rules PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_number_rules_tenant_id_number_index UNIQUE (tenant_id, number_index),
    CONSTRAINT fk_number_rules_tenant_id_contact_id FOREIGN KEY(tenant_id, contact_id) REFERENCES contacts (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_number_rules_tenant_id_contact_id ON number_rules (tenant_id, contact_id);

ALTER TABLE number_rules ENABLE ROW LEVEL SECURITY;
ALTER TABLE number_rules FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON number_rules
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
