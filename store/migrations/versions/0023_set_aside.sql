CREATE INDEX pairs_set_aside ON pairs (tenant_id, state) WHERE state <> '';
