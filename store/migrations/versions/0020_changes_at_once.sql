-- What changed is noted once for a statement, however many calls or contacts it wrote: a row at a time cost as much as
-- writing the calls themselves.
DROP TRIGGER calls_change ON calls;
DROP TRIGGER contacts_change ON contacts;
DROP FUNCTION note_change();

CREATE FUNCTION note_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO changes (id, tenant_id, kind) SELECT id, tenant_id, TG_TABLE_NAME FROM written ORDER BY id
        ON CONFLICT (tenant_id, id) DO UPDATE SET transaction = txid_current(), gone = false, at = now();
    RETURN NULL;
END
$$;
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE changes SET gone = true, transaction = txid_current(), at = now()
        FROM deleted WHERE changes.tenant_id = deleted.tenant_id AND changes.id = deleted.id;
    RETURN NULL;
END
$$;
-- A trigger that sees all rows of a statement is told of one kind of statement.
CREATE TRIGGER calls_added AFTER INSERT ON calls
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_changed();
CREATE TRIGGER calls_changed AFTER UPDATE ON calls
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_changed();
CREATE TRIGGER calls_deleted AFTER DELETE ON calls
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION note_gone();
CREATE TRIGGER contacts_added AFTER INSERT ON contacts
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_changed();
CREATE TRIGGER contacts_changed AFTER UPDATE ON contacts
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION note_changed();
CREATE TRIGGER contacts_deleted AFTER DELETE ON contacts
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION note_gone();

-- Whether somebody is called back already is asked with every batch of calls, among everything ever owed.
CREATE INDEX effects_tasks ON effects (tenant_id, call_id) WHERE kind IN ('task.create', 'task.close');
