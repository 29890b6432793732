-- Calls of one inside line, found by its fingerprint.
ALTER TABLE calls ADD COLUMN line_index BYTEA;
CREATE INDEX ix_calls_tenant_id_line_index ON calls (tenant_id, line_index);

-- Numbers that are never a customer's: our own, and those an administrator leaves out.
CREATE TABLE set_apart (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    number BYTEA,
    fingerprint BYTEA NOT NULL,
    reason BYTEA,
    seen INTEGER DEFAULT '0' NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_set_apart PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_set_apart_tenant_id_fingerprint UNIQUE (tenant_id, fingerprint),
    CONSTRAINT ck_set_apart_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_set_apart_source_length CHECK (length(source) <= 200),
    CONSTRAINT ck_set_apart_state_length CHECK (length(state) <= 200)
);

-- Calls somebody wants to return; one row a call, with the call's id.
CREATE TABLE callbacks (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    user_id UUID,
    state TEXT DEFAULT 'open' NOT NULL,
    created_by UUID,
    done_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_callbacks PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_callbacks_tenant_id_id FOREIGN KEY(tenant_id, id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_callbacks_state_length CHECK (length(state) <= 200)
);
CREATE INDEX callbacks_open ON callbacks (tenant_id, user_id) WHERE state = 'open';

ALTER TABLE set_apart ENABLE ROW LEVEL SECURITY;
ALTER TABLE set_apart FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON set_apart
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE callbacks ENABLE ROW LEVEL SECURITY;
ALTER TABLE callbacks FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON callbacks
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
