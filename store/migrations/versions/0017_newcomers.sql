-- What goes into which field of a new contact and a new lead, as people wrote it, sealed; nobody has said anything so far.
ALTER TABLE tenants ADD COLUMN newcomers BYTEA;
