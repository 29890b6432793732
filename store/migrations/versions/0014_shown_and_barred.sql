-- When each of our own numbers is shown to those we dial: rules, sealed.
ALTER TABLE set_apart ADD COLUMN shown BYTEA;

-- How long the prefixes in a tenant's list are, and what becomes of hidden callers; nothing yet.
ALTER TABLE tenants ADD COLUMN barring JSONB DEFAULT '{}'::jsonb NOT NULL;
