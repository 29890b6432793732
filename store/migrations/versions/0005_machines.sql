-- How each tenant's phone system wants numbers; nothing yet, and so they are dialled in E.164.
ALTER TABLE tenants ADD COLUMN dialling JSONB DEFAULT '{}'::jsonb NOT NULL;

CREATE TABLE devices (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    extension BYTEA,
    extension_index BYTEA NOT NULL,
    chosen BOOLEAN DEFAULT false NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_devices PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_devices_tenant_id_user_id_extension_index UNIQUE (tenant_id, user_id, extension_index)
);
CREATE UNIQUE INDEX one_chosen_device ON devices (tenant_id, user_id) WHERE chosen;
CREATE INDEX ix_devices_tenant_id_extension_index ON devices (tenant_id, extension_index);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    label BYTEA,
    prefix TEXT DEFAULT '' NOT NULL,
    digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_keys_tenant_id_digest UNIQUE (tenant_id, digest)
);

CREATE TABLE routes (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    number BYTEA,
    number_index BYTEA NOT NULL,
    user_id UUID,
    queue BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_routes PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_routes_tenant_id_number_index UNIQUE (tenant_id, number_index)
);

-- One row for each call and contact: the transaction that changed it last. A device that asks what is new is told of
-- transactions older than any still open, so that none it did not see commits behind its back.
CREATE TABLE changes (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    transaction BIGINT DEFAULT txid_current() NOT NULL,
    gone BOOLEAN DEFAULT false NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_changes PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_changes_kind_length CHECK (length(kind) <= 200)
);
CREATE INDEX changes_in_order ON changes (tenant_id, kind, transaction, id);

CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE changes SET gone = true, transaction = txid_current(), at = now()
            WHERE tenant_id = OLD.tenant_id AND id = OLD.id;
    ELSE
        INSERT INTO changes (id, tenant_id, kind) VALUES (NEW.id, NEW.tenant_id, TG_TABLE_NAME)
            ON CONFLICT (tenant_id, id) DO UPDATE SET transaction = txid_current(), gone = false, at = now();
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER calls_change AFTER INSERT OR UPDATE OR DELETE ON calls FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER contacts_change AFTER INSERT OR UPDATE OR DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION note_change();

-- What is there already has changed now. The owner looks over the wall this once.
ALTER TABLE calls NO FORCE ROW LEVEL SECURITY;
ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY;
INSERT INTO changes (id, tenant_id, kind) SELECT id, tenant_id, 'calls' FROM calls;
INSERT INTO changes (id, tenant_id, kind) SELECT id, tenant_id, 'contacts' FROM contacts;
ALTER TABLE calls FORCE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;

ALTER TABLE devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE devices FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON devices
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON api_keys
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE routes ENABLE ROW LEVEL SECURITY;
ALTER TABLE routes FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON routes
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE changes FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON changes
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
