-- The transaction in which a record last said something else, or a pair was last written. Whether two records agree is
-- told by their fingerprints, as ever; this only says whose have to be compared again.
ALTER TABLE links ADD COLUMN moved_in BIGINT DEFAULT txid_current() NOT NULL;
ALTER TABLE pairs ADD COLUMN moved_in BIGINT DEFAULT txid_current() NOT NULL;
CREATE INDEX links_in_order ON links (tenant_id, moved_in);
CREATE INDEX pairs_in_order ON pairs (tenant_id, moved_in);

-- A pair is found by either of its records, also where nobody says which address book it is of.
DROP INDEX one_left_partner;
DROP INDEX one_right_partner;
CREATE UNIQUE INDEX one_left_partner ON pairs (tenant_id, left_id, left_module, book_id) WHERE left_id <> '';
CREATE UNIQUE INDEX one_right_partner ON pairs (tenant_id, right_id, right_module, book_id) WHERE right_id <> '';

CREATE FUNCTION note_moved() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.moved_in = txid_current();
    RETURN NEW;
END
$$;
CREATE TRIGGER links_moved BEFORE UPDATE ON links
    FOR EACH ROW WHEN (OLD.look IS DISTINCT FROM NEW.look) EXECUTE FUNCTION note_moved();
CREATE TRIGGER pairs_moved BEFORE UPDATE ON pairs
    FOR EACH ROW EXECUTE FUNCTION note_moved();

-- Who lost a record, or a partner, has moved as well.
CREATE FUNCTION note_link_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM deleted) THEN
        RETURN NULL;
    END IF;
    UPDATE pairs SET moved_in = txid_current() FROM deleted
        WHERE pairs.tenant_id = deleted.tenant_id AND pairs.crm_id = deleted.connection_id
        AND pairs.left_module = deleted.module AND pairs.left_id = deleted.remote_id AND pairs.left_id <> '';
    UPDATE pairs SET moved_in = txid_current() FROM deleted
        WHERE pairs.tenant_id = deleted.tenant_id AND pairs.book_id = deleted.connection_id
        AND pairs.right_module = deleted.module AND pairs.right_id = deleted.remote_id AND pairs.right_id <> '';
    RETURN NULL;
END
$$;
CREATE FUNCTION note_pair_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM deleted) THEN
        RETURN NULL;
    END IF;
    UPDATE links SET moved_in = txid_current() FROM deleted
        WHERE links.tenant_id = deleted.tenant_id AND links.connection_id = deleted.crm_id
        AND links.module = deleted.left_module AND links.remote_id = deleted.left_id;
    UPDATE links SET moved_in = txid_current() FROM deleted
        WHERE links.tenant_id = deleted.tenant_id AND links.connection_id = deleted.book_id
        AND links.module = deleted.right_module AND links.remote_id = deleted.right_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_deleted AFTER DELETE ON links
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION note_link_gone();
CREATE TRIGGER pairs_deleted AFTER DELETE ON pairs
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION note_pair_gone();
