-- The first tables. Written once, never edited: a change is a new migration.

CREATE TABLE calls (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    ref TEXT DEFAULT '' NOT NULL,
    direction TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT DEFAULT '' NOT NULL,
    events BYTEA,
    view BYTEA,
    customer_index BYTEA,
    contact_id UUID,
    user_id UUID,
    match TEXT DEFAULT '' NOT NULL,
    writer TEXT DEFAULT '' NOT NULL,
    activity_id TEXT DEFAULT '' NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    answered_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    talk_seconds INTEGER DEFAULT '0' NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_calls PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_calls_tenant_id_connection_id_ref UNIQUE (tenant_id, connection_id, ref),
    CONSTRAINT ck_calls_direction_length CHECK (length(direction) <= 200),
    CONSTRAINT ck_calls_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_calls_outcome_length CHECK (length(outcome) <= 200),
    CONSTRAINT ck_calls_match_length CHECK (length(match) <= 200),
    CONSTRAINT ck_calls_writer_length CHECK (length(writer) <= 200)
);

CREATE INDEX calls_live ON calls (tenant_id, user_id) WHERE state <> 'ended';
CREATE INDEX ix_calls_tenant_id_customer_index ON calls (tenant_id, customer_index);
CREATE INDEX ix_calls_tenant_id_started_at ON calls (tenant_id, started_at);

CREATE TABLE certificates (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    profile TEXT NOT NULL,
    counts JSONB DEFAULT '{}'::jsonb NOT NULL,
    signature BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_certificates PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_certificates_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_certificates_profile_length CHECK (length(profile) <= 200)
);


CREATE TABLE chores (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID,
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    every_seconds INTEGER NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_ok_at TIMESTAMP WITH TIME ZONE,
    reason TEXT DEFAULT '' NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    progress JSONB DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT pk_chores PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_chores_tenant_id_connection_id_kind UNIQUE (tenant_id, connection_id, kind),
    CONSTRAINT ck_chores_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_chores_lane_length CHECK (length(lane) <= 200),
    CONSTRAINT ck_chores_reason_length CHECK (length(reason) <= 200)
);

CREATE INDEX chores_waiting ON chores (due_at);

CREATE TABLE clock_marks (
    name TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_clock_marks PRIMARY KEY (name)
);


CREATE TABLE connection_secrets (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    purpose TEXT NOT NULL,
    value BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    not_after TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_connection_secrets PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_connection_secrets_purpose_length CHECK (length(purpose) <= 200)
);

CREATE INDEX ix_connection_secrets_tenant_id_connection_id_purpose ON connection_secrets (tenant_id, connection_id, purpose);

CREATE TABLE connections (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    vendor TEXT NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    label BYTEA,
    account BYTEA,
    subject BYTEA,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_ok_at TIMESTAMP WITH TIME ZONE,
    last_trouble_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_connections PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_connections_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_connections_vendor_length CHECK (length(vendor) <= 200),
    CONSTRAINT ck_connections_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_connections_reason_length CHECK (length(reason) <= 200)
);


CREATE TABLE consent_requests (
    state BYTEA NOT NULL,
    browser BYTEA NOT NULL,
    provider TEXT NOT NULL,
    tenant_id UUID,
    connection_id UUID,
    ticket BYTEA,
    expires_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_consent_requests PRIMARY KEY (state),
    CONSTRAINT ck_consent_requests_provider_length CHECK (length(provider) <= 200)
);


CREATE TABLE contacts (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    person BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_contacts PRIMARY KEY (tenant_id, id)
);


CREATE TABLE cursors (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    name TEXT NOT NULL,
    value BYTEA,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_cursors PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_cursors_tenant_id_connection_id_name UNIQUE (tenant_id, connection_id, name),
    CONSTRAINT ck_cursors_name_length CHECK (length(name) <= 200)
);


CREATE TABLE deliveries (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    event_id TEXT DEFAULT '' NOT NULL,
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    body BYTEA,
    state TEXT DEFAULT 'pending' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_deliveries PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_deliveries_connection_id_event_id UNIQUE (connection_id, event_id),
    CONSTRAINT ck_deliveries_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_deliveries_lane_length CHECK (length(lane) <= 200),
    CONSTRAINT ck_deliveries_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_deliveries_reason_length CHECK (length(reason) <= 200)
);

CREATE INDEX deliveries_waiting ON deliveries (tenant_id, lane, next_at) WHERE state = 'pending';
CREATE INDEX ix_deliveries_tenant_id_received_at ON deliveries (tenant_id, received_at);

CREATE TABLE deployment (
    id SMALLSERIAL NOT NULL,
    kid TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_deployment PRIMARY KEY (id),
    CONSTRAINT ck_deployment_kid_length CHECK (length(kid) <= 200)
);


CREATE TABLE directory (
    kind TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID,
    user_id UUID,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_directory PRIMARY KEY (kind, fingerprint),
    CONSTRAINT ck_directory_kind_length CHECK (length(kind) <= 200)
);

CREATE INDEX ix_directory_tenant_id ON directory (tenant_id);

CREATE TABLE effects (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    kind TEXT NOT NULL,
    key TEXT DEFAULT '' NOT NULL,
    lane TEXT NOT NULL,
    call_id UUID,
    contact_id UUID,
    payload BYTEA,
    state TEXT DEFAULT 'due' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    result TEXT DEFAULT '' NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    fence BIGINT DEFAULT '0' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_effects PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_effects_tenant_id_key UNIQUE (tenant_id, key),
    CONSTRAINT ck_effects_kind_length CHECK (length(kind) <= 200),
    CONSTRAINT ck_effects_lane_length CHECK (length(lane) <= 200),
    CONSTRAINT ck_effects_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_effects_reason_length CHECK (length(reason) <= 200)
);

CREATE INDEX effects_waiting ON effects (tenant_id, lane, next_at) WHERE state IN ('due', 'claimed', 'unknown');
CREATE UNIQUE INDEX one_writer_per_call ON effects (tenant_id, call_id) WHERE kind IN ('activity.bridge', 'activity.record');

CREATE TABLE grants (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    state TEXT DEFAULT 'active' NOT NULL,
    scopes TEXT[] NOT NULL,
    policy_version TEXT NOT NULL,
    refresh BYTEA,
    access BYTEA,
    access_until TIMESTAMP WITH TIME ZONE,
    refresh_until TIMESTAMP WITH TIME ZONE,
    extra JSONB DEFAULT '{}'::jsonb NOT NULL,
    fence BIGINT DEFAULT '0' NOT NULL,
    version BIGINT DEFAULT '0' NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    granted_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_grants PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_grants_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_grants_policy_version_length CHECK (length(policy_version) <= 200)
);

CREATE UNIQUE INDEX one_active_grant ON grants (tenant_id, connection_id) WHERE state = 'active';

CREATE TABLE ledger (
    tenant_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT DEFAULT '' NOT NULL,
    facts JSONB DEFAULT '{}'::jsonb NOT NULL,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT pk_ledger PRIMARY KEY (tenant_id, seq),
    CONSTRAINT ck_ledger_actor_length CHECK (length(actor) <= 200),
    CONSTRAINT ck_ledger_action_length CHECK (length(action) <= 200),
    CONSTRAINT ck_ledger_subject_length CHECK (length(subject) <= 200)
);


CREATE TABLE mail_keys (
    bucket TIMESTAMP WITH TIME ZONE NOT NULL,
    key BYTEA NOT NULL,
    CONSTRAINT pk_mail_keys PRIMARY KEY (bucket)
)
 PARTITION BY RANGE (bucket);


CREATE TABLE tenant_keys (
    id INTEGER GENERATED BY DEFAULT AS IDENTITY,
    tenant_id UUID NOT NULL,
    purpose TEXT NOT NULL,
    kid TEXT NOT NULL,
    wrapped BYTEA,
    state TEXT DEFAULT 'active' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tenant_keys PRIMARY KEY (id),
    CONSTRAINT ck_tenant_keys_purpose_length CHECK (length(purpose) <= 200),
    CONSTRAINT ck_tenant_keys_kid_length CHECK (length(kid) <= 200),
    CONSTRAINT ck_tenant_keys_state_length CHECK (length(state) <= 200)
);

CREATE UNIQUE INDEX one_active_key ON tenant_keys (tenant_id, purpose) WHERE state = 'active';

CREATE TABLE tenants (
    id UUID NOT NULL,
    name BYTEA,
    state TEXT DEFAULT 'active' NOT NULL,
    profile TEXT DEFAULT 'strict' NOT NULL,
    region TEXT DEFAULT 'US' NOT NULL,
    time_zone TEXT DEFAULT 'UTC' NOT NULL,
    call_writer TEXT DEFAULT 'records' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id),
    CONSTRAINT ck_tenants_state_length CHECK (length(state) <= 200),
    CONSTRAINT ck_tenants_profile_length CHECK (length(profile) <= 200),
    CONSTRAINT ck_tenants_region_length CHECK (length(region) <= 200),
    CONSTRAINT ck_tenants_time_zone_length CHECK (length(time_zone) <= 200),
    CONSTRAINT ck_tenants_call_writer_length CHECK (length(call_writer) <= 200)
);


CREATE TABLE tombstones (
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tombstones PRIMARY KEY (tenant_id, kind, fingerprint),
    CONSTRAINT ck_tombstones_kind_length CHECK (length(kind) <= 200)
);


CREATE TABLE users (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID,
    remote_id TEXT DEFAULT '' NOT NULL,
    login_id TEXT DEFAULT '' NOT NULL,
    name BYTEA,
    email BYTEA,
    email_index BYTEA,
    extension BYTEA,
    extension_index BYTEA,
    role TEXT DEFAULT 'agent' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_users_tenant_id_connection_id_remote_id UNIQUE (tenant_id, connection_id, remote_id),
    CONSTRAINT ck_users_role_length CHECK (length(role) <= 200)
);

CREATE INDEX ix_users_tenant_id_email_index ON users (tenant_id, email_index);

CREATE TABLE contact_keys (
    tenant_id UUID NOT NULL,
    kind TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    contact_id UUID NOT NULL,
    CONSTRAINT pk_contact_keys PRIMARY KEY (tenant_id, kind, fingerprint, contact_id),
    CONSTRAINT fk_contact_keys_tenant_id_contact_id FOREIGN KEY(tenant_id, contact_id) REFERENCES contacts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_contact_keys_kind_length CHECK (length(kind) <= 200)
);

CREATE INDEX ix_contact_keys_tenant_id_contact_id ON contact_keys (tenant_id, contact_id);

CREATE TABLE links (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    contact_id UUID NOT NULL,
    module TEXT NOT NULL,
    remote_id TEXT DEFAULT '' NOT NULL,
    owner TEXT DEFAULT '' NOT NULL,
    mark BYTEA,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_links PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_links_tenant_id_connection_id_module_remote_id UNIQUE (tenant_id, connection_id, module, remote_id),
    CONSTRAINT fk_links_tenant_id_contact_id FOREIGN KEY(tenant_id, contact_id) REFERENCES contacts (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_links_module_length CHECK (length(module) <= 200)
);

CREATE INDEX ix_links_tenant_id_contact_id ON links (tenant_id, contact_id);

-- Row-level security: a tenant's rows exist for that tenant alone, the owner included.
ALTER TABLE calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE calls FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON calls
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE certificates ENABLE ROW LEVEL SECURITY;
ALTER TABLE certificates FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON certificates
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE chores ENABLE ROW LEVEL SECURITY;
ALTER TABLE chores FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON chores
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE connection_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON connection_secrets
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE connections FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON connections
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON contacts
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON cursors
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON deliveries
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE effects ENABLE ROW LEVEL SECURITY;
ALTER TABLE effects FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON effects
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE grants FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON grants
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON ledger
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE tenant_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenant_keys
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenants
    USING (id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE tombstones ENABLE ROW LEVEL SECURITY;
ALTER TABLE tombstones FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tombstones
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON users
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE contact_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON contact_keys
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
ALTER TABLE links ENABLE ROW LEVEL SECURITY;
ALTER TABLE links FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON links
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

-- The timetable must know which tenant has work, and nothing else about it: functions of the owner, who may look.
CREATE POLICY keeper ON tenants FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY keeper ON deliveries FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY keeper ON effects FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY keeper ON chores FOR SELECT TO CURRENT_USER USING (true);

CREATE FUNCTION linekeeper_tenants() RETURNS TABLE (id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT tenants.id FROM tenants WHERE tenants.state <> 'erased' ORDER BY tenants.id
$$;

CREATE FUNCTION linekeeper_work() RETURNS TABLE (tenant_id uuid, lane text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.tenant_id, d.lane FROM deliveries d WHERE d.state = 'pending' AND d.next_at <= now()
    UNION SELECT e.tenant_id, e.lane FROM effects e
        WHERE e.state IN ('due', 'claimed', 'unknown') AND e.next_at <= now()
    UNION SELECT c.tenant_id, c.lane FROM chores c WHERE c.due_at <= now()
$$;

-- Mail keys: each bucket is an UNLOGGED partition of its own: in no WAL, no base backup, gone when dropped.
CREATE FUNCTION linekeeper_mail_key(bucket_start timestamptz, seconds integer, fresh bytea) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part text := 'mail_keys_' || extract(epoch FROM bucket_start)::bigint;
    found bytea;
BEGIN
    SELECT m.key INTO found FROM mail_keys m WHERE m.bucket = bucket_start;
    IF found IS NOT NULL THEN RETURN found; END IF;
    IF fresh IS NULL THEN RETURN NULL; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('linekeeper mail keys'));
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE UNLOGGED TABLE %I PARTITION OF mail_keys FOR VALUES FROM (%L) TO (%L)',
                       part, bucket_start, bucket_start + make_interval(secs => seconds));
    END IF;
    INSERT INTO mail_keys VALUES (bucket_start, fresh) ON CONFLICT DO NOTHING;
    SELECT m.key INTO found FROM mail_keys m WHERE m.bucket = bucket_start;
    RETURN found;
END $$;

CREATE FUNCTION linekeeper_mail_keys_drop(started_before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    gone integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('linekeeper mail keys'));
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'mail_keys'::regclass
    LOOP
        IF to_timestamp(substring(part.relname FROM 'mail_keys_(-?[0-9]+)$')::bigint) < started_before THEN
            EXECUTE format('DROP TABLE %I', part.relname);
            gone := gone + 1;
        END IF;
    END LOOP;
    RETURN gone;
END $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
