-- +goose Up
-- Times are microseconds since 1970, by the database's clock. Names are sorted
-- as bytes, as on SQLite.
CREATE TABLE connector_instances (
	name        TEXT COLLATE "C" PRIMARY KEY,
	integration TEXT   NOT NULL, -- its name in the config
	state       TEXT   NOT NULL, -- active or inactive
	sealed      BYTEA  NOT NULL, -- the metadata
	sealed_at   BIGINT NOT NULL, -- when the metadata was last written
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL
);

CREATE TABLE connector_ticket_links (
	ticket_id  TEXT COLLATE "C" PRIMARY KEY,
	instance   TEXT COLLATE "C" NOT NULL REFERENCES connector_instances (name) ON DELETE CASCADE,
	agents     TEXT,            -- a JSON array of the ids of those who may use the ticket; NULL: every agent
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX connector_ticket_links_instance ON connector_ticket_links (instance, ticket_id);
