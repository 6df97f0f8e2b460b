-- +goose Up
-- Times are microseconds since 1970, by the database's clock.
CREATE TABLE connector_instances (
	name        TEXT    PRIMARY KEY,
	integration TEXT    NOT NULL, -- its name in the config
	state       TEXT    NOT NULL, -- active or inactive
	sealed      BLOB    NOT NULL, -- the metadata
	sealed_at   INTEGER NOT NULL, -- when the metadata was last written
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE connector_ticket_links (
	ticket_id  TEXT    PRIMARY KEY,
	instance   TEXT    NOT NULL REFERENCES connector_instances (name) ON DELETE CASCADE,
	agents     TEXT,             -- a JSON array of the ids of those who may use the ticket; NULL: every agent
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX connector_ticket_links_instance ON connector_ticket_links (instance, ticket_id);
