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
	flat          BIGINT NOT NULL DEFAULT 0,
	filter        TEXT,             -- a JSON object: what of the data must have which values
	rate_limit    BIGINT,          -- deliveries a second
	signing       TEXT,             -- a JSON object: how deliveries are signed, where not as usual
	sealed        BYTEA NOT NULL,    -- secrets and header fields
	expires_at    BIGINT,
	created_at    BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL,
	failing_since BIGINT,          -- the first failure since the last success
	warned        BIGINT NOT NULL DEFAULT 0 -- how many warnings of it the owner had
);
CREATE INDEX connector_subscriptions_resource ON connector_subscriptions (resource_id);
CREATE INDEX connector_subscriptions_owner ON connector_subscriptions (owner, id);
-- for what is removed some day
CREATE INDEX connector_subscriptions_ended ON connector_subscriptions (updated_at) WHERE status = 'ended';
CREATE INDEX connector_subscriptions_expiring ON connector_subscriptions (expires_at) WHERE expires_at IS NOT NULL;

-- The body stands here once, however many deliveries it has.
CREATE TABLE connector_events (
	id            TEXT    PRIMARY KEY,
	type          TEXT    NOT NULL,
	resource_type TEXT    NOT NULL DEFAULT '', -- '': of any type
	resource_id   TEXT    NOT NULL,
	account_id    TEXT    NOT NULL DEFAULT '', -- '': of all accounts
	traceparent   TEXT    NOT NULL DEFAULT '', -- of the request that published it
	body          BYTEA NOT NULL,
	data_at       BIGINT NOT NULL,            -- where in the body the data begins; a brace follows it
	deliveries    BIGINT NOT NULL,
	created_at    BIGINT NOT NULL
);
CREATE INDEX connector_events_created ON connector_events (created_at);

-- A pending delivery (state 0) is leased to a node, or to none.
CREATE TABLE connector_deliveries (
	id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	event_id        TEXT    NOT NULL,
	subscription_id TEXT    NOT NULL,
	state           BIGINT NOT NULL,
	attempts        BIGINT NOT NULL,           -- made so far
	tries           BIGINT NOT NULL DEFAULT 0, -- those of them since it was last published or replayed
	since           BIGINT NOT NULL,           -- when that was
	due             BIGINT NOT NULL,
	node            TEXT
);
-- what is finished is in neither of the first two, and costs them nothing
CREATE INDEX connector_deliveries_free ON connector_deliveries (subscription_id, due, id) WHERE state = 0 AND node IS NULL;
CREATE INDEX connector_deliveries_leased ON connector_deliveries (node) WHERE state = 0 AND node IS NOT NULL;
CREATE INDEX connector_deliveries_listed ON connector_deliveries (subscription_id, state, id);

CREATE TABLE connector_attempts (
	delivery_id BIGINT NOT NULL,
	number      BIGINT NOT NULL,
	started     BIGINT NOT NULL,
	duration    BIGINT NOT NULL,
	status      BIGINT NOT NULL,
	error       TEXT    NOT NULL,
	PRIMARY KEY (delivery_id, number)
);

-- Jobs that send deliveries of a time again.
CREATE TABLE connector_replays (
	id              TEXT    PRIMARY KEY,
	subscription_id TEXT    NOT NULL,
	since           BIGINT NOT NULL, -- the first and
	until           BIGINT NOT NULL, -- the last time of publishing
	states          TEXT    NOT NULL, -- a JSON array of states
	status          TEXT    NOT NULL,
	position        BIGINT NOT NULL, -- the last delivery that was looked at
	replayed        BIGINT NOT NULL,
	total           BIGINT NOT NULL,
	node            TEXT,             -- which works on it
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL
);
CREATE INDEX connector_replays_subscription ON connector_replays (subscription_id, id);
CREATE INDEX connector_replays_open ON connector_replays (status) WHERE status = 'running';
CREATE INDEX connector_replays_ended ON connector_replays (updated_at) WHERE status <> 'running';

-- Processes that send deliveries, and when each was last alive.
CREATE TABLE connector_nodes (
	id   TEXT   PRIMARY KEY,
	seen BIGINT NOT NULL
);
