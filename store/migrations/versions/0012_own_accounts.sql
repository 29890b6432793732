-- Whether users may connect accounts of their own, and what these bring; they may, and it is mail, so far.
ALTER TABLE tenants ADD COLUMN own_accounts JSONB DEFAULT '{}'::jsonb NOT NULL;
