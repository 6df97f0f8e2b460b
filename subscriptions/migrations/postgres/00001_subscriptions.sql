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
	ordered       BIGINT NOT NULL,
	secrets       BYTEA    NOT NULL, -- sealed
	expires_at    BIGINT,
	created_at    BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL
);
CREATE INDEX connector_subscriptions_resource ON connector_subscriptions (resource_id);
CREATE INDEX connector_subscriptions_owner ON connector_subscriptions (owner, id);

-- The body stands here once, however many deliveries it has.
CREATE TABLE connector_events (
	id          TEXT    PRIMARY KEY,
	type        TEXT    NOT NULL,
	resource_id TEXT    NOT NULL,
	body        BYTEA    NOT NULL,
	deliveries  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL
);

-- A pending delivery (state 0) is leased to a node, or to none.
CREATE TABLE connector_deliveries (
	id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id        TEXT    NOT NULL,
	subscription_id TEXT    NOT NULL,
	state           BIGINT NOT NULL,
	attempts        BIGINT NOT NULL,
	due             BIGINT NOT NULL,
	node            TEXT
);
-- what is finished is in no index, and costs nothing
CREATE INDEX connector_deliveries_free ON connector_deliveries (subscription_id, due, id) WHERE state = 0 AND node IS NULL;
CREATE INDEX connector_deliveries_leased ON connector_deliveries (node) WHERE state = 0 AND node IS NOT NULL;
CREATE INDEX connector_deliveries_pending ON connector_deliveries (subscription_id, id) WHERE state = 0;

CREATE TABLE connector_attempts (
	delivery_id BIGINT NOT NULL,
	number      BIGINT NOT NULL,
	started     BIGINT NOT NULL,
	duration    BIGINT NOT NULL,
	status      BIGINT NOT NULL,
	error       TEXT    NOT NULL,
	answer      TEXT    NOT NULL,
	PRIMARY KEY (delivery_id, number)
);

-- Processes that send deliveries, and when each was last alive.
CREATE TABLE connector_nodes (
	id   TEXT   PRIMARY KEY,
	seen BIGINT NOT NULL
);
