CREATE TABLE call_lists (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    user_id UUID NOT NULL,
    title BYTEA,
    most_tries INTEGER DEFAULT 0 NOT NULL,
    turn INTEGER DEFAULT 0 NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    worked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_call_lists PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_call_lists_tenant_id_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX ix_call_lists_tenant_id_user_id ON call_lists (tenant_id, user_id);

CREATE TABLE call_list_people (
    id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    list_id UUID NOT NULL,
    place INTEGER DEFAULT 0 NOT NULL,
    number BYTEA,
    number_index BYTEA NOT NULL,
    contact_id UUID,
    picked BOOLEAN NOT NULL,
    note BYTEA,
    state TEXT DEFAULT 'waiting' NOT NULL,
    tries INTEGER DEFAULT 0 NOT NULL,
    call_id UUID,
    dialled_at TIMESTAMP WITH TIME ZONE,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_call_list_people PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_call_list_people_tenant_id_list_id_number_index UNIQUE (tenant_id, list_id, number_index),
    CONSTRAINT ck_call_list_people_state_length CHECK (length(state) <= 200),
    CONSTRAINT fk_call_list_people_tenant_id_list_id FOREIGN KEY (tenant_id, list_id) REFERENCES call_lists (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE call_lists ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_lists FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON call_lists
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

ALTER TABLE call_list_people ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_list_people FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON call_list_people
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
