-- +goose Up
-- For each key that something is sealed with, a known text that it sealed.
CREATE TABLE connector_keys (
	id     text PRIMARY KEY,
	sealed bytea NOT NULL
);
