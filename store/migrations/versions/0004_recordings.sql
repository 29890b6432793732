-- What each tenant decided about recordings; nothing yet, and so none is fetched.
ALTER TABLE tenants ADD COLUMN recordings JSONB DEFAULT '{}'::jsonb NOT NULL;

CREATE TABLE recordings (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    basis TEXT NOT NULL,
    state TEXT DEFAULT 'there' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    form TEXT DEFAULT '' NOT NULL,
    length INTEGER DEFAULT '0' NOT NULL,
    revision INTEGER DEFAULT '0' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    heard JSONB DEFAULT '{}'::jsonb NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_recordings PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_recordings_tenant_id_id FOREIGN KEY(tenant_id, id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_recordings_basis_length CHECK (length(basis) <= 200),
    CONSTRAINT ck_recordings_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_recordings_reason_length CHECK (length(reason) <= 200)
);
CREATE INDEX ix_recordings_tenant_id_started_at ON recordings (tenant_id, started_at);
CREATE INDEX recordings_there ON recordings (tenant_id, connection_id) WHERE state = 'there';

CREATE TABLE recording_chunks (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    recording_id UUID NOT NULL,
    number INTEGER NOT NULL,
    sound BYTEA NOT NULL,
    CONSTRAINT pk_recording_chunks PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_recording_chunks_tenant_id_recording_id_number UNIQUE (tenant_id, recording_id, number),
    CONSTRAINT fk_recording_chunks_tenant_id_recording_id FOREIGN KEY(tenant_id, recording_id) REFERENCES recordings (tenant_id, id) ON DELETE CASCADE
);
ALTER TABLE recording_chunks ALTER COLUMN sound SET STORAGE EXTERNAL; -- what is sealed cannot be compressed

ALTER TABLE recordings ENABLE ROW LEVEL SECURITY;
ALTER TABLE recordings FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON recordings
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE recording_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE recording_chunks FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON recording_chunks
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
