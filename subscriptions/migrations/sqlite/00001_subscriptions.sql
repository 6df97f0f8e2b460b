-- +goose Up
-- Times are microseconds since 1970, by the database's clock.
CREATE TABLE connector_subscriptions (
	id            TEXT    PRIMARY KEY,
	owner         TEXT    NOT NULL,
	target_url    TEXT    NOT NULL,
	resource_type TEXT    NOT NULL,
	resource_id   TEXT    NOT NULL,
	events        TEXT    NOT NULL, -- a JSON array of types and wildcards
	status        TEXT    NOT NULL,
	ordered       INTEGER NOT NULL,
	secrets       BLOB    NOT NULL, -- sealed
	expires_at    INTEGER,
	created_at    INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX connector_subscriptions_resource ON connector_subscriptions (resource_id);
CREATE INDEX connector_subscriptions_owner ON connector_subscriptions (owner, id);

-- The body stands here once, however many deliveries it has.
CREATE TABLE connector_events (
	id          TEXT    PRIMARY KEY,
	type        TEXT    NOT NULL,
	resource_id TEXT    NOT NULL,
	body        BLOB    NOT NULL,
	deliveries  INTEGER NOT NULL,
	created_at  INTEGER NOT NULL
) STRICT;

-- A pending delivery (state 0) is leased to a node, or to none.
CREATE TABLE connector_deliveries (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	event_id        TEXT    NOT NULL,
	subscription_id TEXT    NOT NULL,
	state           INTEGER NOT NULL,
	attempts        INTEGER NOT NULL,
	due             INTEGER NOT NULL,
	node            TEXT
) STRICT;
-- what is finished is in no index, and costs nothing
CREATE INDEX connector_deliveries_free ON connector_deliveries (subscription_id, due, id) WHERE state = 0 AND node IS NULL;
CREATE INDEX connector_deliveries_leased ON connector_deliveries (node) WHERE state = 0 AND node IS NOT NULL;
CREATE INDEX connector_deliveries_pending ON connector_deliveries (subscription_id, id) WHERE state = 0;

CREATE TABLE connector_attempts (
	delivery_id INTEGER NOT NULL,
	number      INTEGER NOT NULL,
	started     INTEGER NOT NULL,
	duration    INTEGER NOT NULL,
	status      INTEGER NOT NULL,
	error       TEXT    NOT NULL,
	answer      TEXT    NOT NULL,
	PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- Processes that send deliveries, and when each was last alive.
CREATE TABLE connector_nodes (
	id   TEXT    PRIMARY KEY,
	seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
