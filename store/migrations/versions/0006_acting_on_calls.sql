-- When calls come up on screens, as the tenant and each user want it, and what becomes of calls nobody took.
ALTER TABLE tenants ADD COLUMN pops JSONB DEFAULT '{}'::jsonb NOT NULL;
ALTER TABLE tenants ADD COLUMN follow_ups JSONB DEFAULT '{}'::jsonb NOT NULL;
ALTER TABLE users ADD COLUMN pops JSONB DEFAULT '{}'::jsonb NOT NULL;

-- At whose phones a call is, and whose screen in the CRM has its card. A call that is live while this is applied finds
-- its seats with its next event.
ALTER TABLE calls ADD COLUMN seats JSONB DEFAULT '{}'::jsonb NOT NULL;
ALTER TABLE calls ADD COLUMN screen_id UUID;
DROP INDEX calls_live;
CREATE INDEX calls_live ON calls (tenant_id, started_at) WHERE state <> 'ended';

-- How long pops took, for each tenant: no row of a tenant's own leaves, only counts and times.
CREATE FUNCTION linekeeper_pops(since timestamptz)
RETURNS TABLE (tenant_id uuid, many bigint, p95_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT e.tenant_id, count(*),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM e.done_at - e.created_at)::double precision)
    FROM effects e WHERE e.kind = 'pop' AND e.state = 'done' AND e.done_at >= since GROUP BY e.tenant_id
$$;
