package datastore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Feature is a part of this module that keeps tables of its own in the
// database.
type Feature struct {
	// Name tells its version table, connector_schema_<name>, from others.
	Name string

	// SQLite and PostgreSQL have the migrations in their roots: files such as
	// 00001_what.sql that begin with a line "-- +goose Up". They run forward
	// only, all that are pending in one transaction. What is released is never
	// changed or removed. Both are nil where there are no tables.
	SQLite, PostgreSQL fs.FS

	// Reencrypt, if not nil, seals with the ring's first key what is sealed with
	// another one, and returns how many secrets that were. It may be called
	// again after an error, and on several nodes at once.
	Reencrypt func(ctx context.Context, db *DB, ring *KeyRing) (int, error)
}

var (
	//go:embed migrations
	ownMigrations embed.FS

	features = []Feature{{
		Name: "keys", SQLite: Dir(ownMigrations, "migrations/sqlite"), PostgreSQL: Dir(ownMigrations, "migrations/postgres"),
	}}
	featureName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
)

// Register adds a feature. Packages call it in their init; it panics if the
// name is taken or malformed, or if one database has no migrations.
func Register(feature Feature) {
	if err := register(feature); err != nil {
		panic(err)
	}
}

func register(feature Feature) error {
	if !featureName.MatchString(feature.Name) {
		return fmt.Errorf("datastore: feature name %q is malformed", feature.Name)
	}
	if slices.ContainsFunc(features, func(f Feature) bool { return f.Name == feature.Name }) {
		return fmt.Errorf("datastore: feature %s is registered already", feature.Name)
	}
	if (feature.SQLite == nil) != (feature.PostgreSQL == nil) {
		return fmt.Errorf("datastore: feature %s has migrations for one database only", feature.Name)
	}
	features = append(features, feature)
	slices.SortFunc(features, func(a, b Feature) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func (f Feature) migrations(dialect Dialect) fs.FS {
	if dialect == PostgreSQL {
		return f.PostgreSQL
	}
	return f.SQLite
}

func (f Feature) versionTable() string { return "connector_schema_" + f.Name }

// Dir returns a directory of an embedded file system, for a Feature's migrations.
// It panics if it is not there.
func Dir(fsys fs.FS, dir string) fs.FS {
	found, err := fs.Sub(fsys, dir)
	if err != nil {
		panic(err)
	}
	return found
}
