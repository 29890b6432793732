CREATE TABLE chat_spaces (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    space BYTEA,
    language TEXT DEFAULT '' NOT NULL,
    wanted BOOLEAN DEFAULT true NOT NULL,
    learned_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_chat_spaces PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_chat_spaces_language_length CHECK (length(language) <= 200),
    CONSTRAINT fk_chat_spaces_tenant_id_id FOREIGN KEY (tenant_id, id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE chat_spaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_spaces FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON chat_spaces
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
