-- Organisations that installed us at a marketplace and have not consented yet: a fingerprint, and until when.
CREATE TABLE installs (
    vendor TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    heard_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_installs PRIMARY KEY (vendor, fingerprint),
    CONSTRAINT ck_installs_vendor_length CHECK (length(vendor) <= 200)
);
