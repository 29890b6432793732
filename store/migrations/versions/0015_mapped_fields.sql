-- What goes into which field of an activity, as people wrote it, sealed; nobody has said anything so far.
ALTER TABLE tenants ADD COLUMN fields BYTEA;

-- What we put into those fields of a call's activity, sealed: only that may be changed later.
ALTER TABLE calls ADD COLUMN filled BYTEA;
