CREATE TABLE mail_blocks (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    whom BYTEA,
    fingerprint BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_mail_blocks PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_mail_blocks_tenant_id_connection_id_fingerprint UNIQUE (tenant_id, connection_id, fingerprint)
);

ALTER TABLE mail_blocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_blocks FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON mail_blocks
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
