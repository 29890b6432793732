-- How many connections there is something to announce of, by what it is: for the operators' metrics. Whose they are is not
-- told.
CREATE FUNCTION linekeeper_alarms() RETURNS TABLE (what text, many bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT announced.what, count(*) FROM connections c JOIN tenants t ON t.id = c.tenant_id,
        jsonb_object_keys(c.facts -> 'alarms') AS announced (what)
        WHERE c.state = 'active' AND t.state <> 'erased' GROUP BY announced.what
$$;
