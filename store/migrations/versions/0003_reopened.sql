-- How often an effect was found missing over there and planned again: somebody who removes it twice means it.
ALTER TABLE effects ADD COLUMN reopened INTEGER DEFAULT '0' NOT NULL;
