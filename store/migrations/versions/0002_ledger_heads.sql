-- Where a tenant's chain begins once its oldest rows have had their time.
CREATE TABLE ledger_heads (
    tenant_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT pk_ledger_heads PRIMARY KEY (tenant_id)
);
ALTER TABLE ledger_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON ledger_heads
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);

-- The application may not delete ledger rows; it may ask for the oldest of the tenant at hand to go, none of them
-- younger than thirty days whatever it asks for. The last row that went becomes the head.
CREATE FUNCTION linekeeper_ledger_trim(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('app.tenant_id', true), '')::uuid;
    latest record;
    gone bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ledger ' || tenant));
    SELECT l.seq, l.hash INTO latest FROM ledger l
        WHERE l.tenant_id = tenant AND l.at < least(before, now() - interval '30 days')
        ORDER BY l.seq DESC LIMIT 1;
    IF NOT FOUND THEN RETURN 0; END IF;
    DELETE FROM ledger l WHERE l.tenant_id = tenant AND l.seq <= latest.seq;
    GET DIAGNOSTICS gone = ROW_COUNT;
    INSERT INTO ledger_heads VALUES (tenant, latest.seq, latest.hash)
        ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION linekeeper_ledger_trim(timestamptz) FROM PUBLIC;
