-- +goose Up
-- Times are microseconds since 1970, by the database's clock.
CREATE TABLE connector_connections (
	id           TEXT    PRIMARY KEY,
	owner        TEXT    NOT NULL,
	api          TEXT    NOT NULL,
	name         TEXT    NOT NULL,
	variables    TEXT    NOT NULL,           -- a JSON object
	status       TEXT    NOT NULL,
	reason       TEXT    NOT NULL,           -- why the user must connect again
	errors       TEXT,                       -- a JSON array: what the last test found
	version      BIGINT  NOT NULL,           -- one more with each change
	lease_holder TEXT    NOT NULL DEFAULT '', -- who may refresh a token; '': nobody
	lease_until  BIGINT  NOT NULL DEFAULT 0,  -- without a holder: nobody may before
	created_at   BIGINT  NOT NULL,
	updated_at   BIGINT  NOT NULL
);
CREATE UNIQUE INDEX connector_connections_name ON connector_connections (owner, api, name);
CREATE INDEX connector_connections_api ON connector_connections (owner, api, id);
CREATE INDEX connector_connections_owner ON connector_connections (owner, id);

-- One credential for each scheme of the API that has one.
CREATE TABLE connector_connection_secrets (
	id            TEXT    PRIMARY KEY, -- the connection's, a slash and the scheme
	connection_id TEXT    NOT NULL,
	scheme        BIGINT  NOT NULL,    -- its index
	version       BIGINT  NOT NULL,    -- one more with each change
	bound         TEXT    NOT NULL,    -- what sealed is bound to, beside the id
	sealed        BYTEA   NOT NULL
);
CREATE INDEX connector_connection_secrets_connection ON connector_connection_secrets (connection_id);

-- Authorizations that users have begun and not finished.
CREATE TABLE connector_connection_flows (
	id         TEXT    PRIMARY KEY, -- the hash of the state
	owner      TEXT    NOT NULL,
	sealed     BYTEA   NOT NULL,
	expires_at BIGINT  NOT NULL
);
CREATE INDEX connector_connection_flows_owner ON connector_connection_flows (owner, expires_at);
CREATE INDEX connector_connection_flows_expiry ON connector_connection_flows (expires_at);
