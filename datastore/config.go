package datastore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// DatabaseConfig says where the database is.
type DatabaseConfig struct {
	// `sqlite`, which is the default, or `postgres`, which several nodes can
	// share.
	Driver Dialect `json:"driver,omitempty"`

	// The file of an SQLite database, on a local disk. Default:
	// `connector/connector.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// Where a PostgreSQL server is, and who connects:
	// `postgres://user:password@host:5432/name`, best as a placeholder, such as
	// `{env.DATABASE_URL}`. It may have `pool_max_conns`, the most connections
	// of this node. Default of these: 16.
	DSN string `json:"dsn,omitempty"`
}

// settings are a DatabaseConfig without placeholders.
type settings struct {
	dialect Dialect
	path    string
	dsn     secret.Value
}

func (c DatabaseConfig) provision(logger *zap.Logger) (settings, error) {
	repl := caddy.NewReplacer()
	switch c.Driver {
	case SQLite, "":
		if c.DSN != "" {
			return settings{}, errors.New("a dsn needs the driver postgres")
		}
		path, err := sqlitePath(repl, c.Path)
		return settings{dialect: SQLite, path: path}, err
	case PostgreSQL:
		if c.Path != "" {
			return settings{}, errors.New("a path needs the driver sqlite")
		}
		dsn, err := secret.Resolve(repl, c.DSN)
		if err != nil {
			return settings{}, fmt.Errorf("dsn: %w", err)
		}
		if secret.IsLiteral(c.DSN) {
			logger.Warn("the dsn of the database is written in the config itself, where a password in it can be read " +
				"through the admin API; use a placeholder such as {env.DATABASE_URL}")
		}
		return settings{dialect: PostgreSQL, dsn: dsn}, nil
	}
	return settings{}, fmt.Errorf("driver '%s' is neither sqlite nor postgres", c.Driver)
}

func sqlitePath(repl *caddy.Replacer, configured string) (string, error) {
	if configured == "" {
		return filepath.Join(caddy.AppDataDir(), "connector", "connector.db"), nil
	}
	path, err := repl.ReplaceOrErr(configured, true, true)
	if err != nil {
		return "", fmt.Errorf("path: %w", err)
	}
	return filepath.Abs(path)
}

// key tells databases apart.
func (s settings) key() string {
	sum := sha256.Sum256([]byte(string(s.dialect) + "\x00" + s.path + "\x00" + s.dsn.Reveal()))
	return string(sum[:])
}

func (s settings) newStore() (caddy.Destructor, error) {
	if s.dialect == SQLite {
		return newStore(&sqlite{path: s.path}), nil
	}
	p, err := newPostgres(s.dsn)
	if err != nil {
		return nil, err
	}
	return newStore(p), nil
}

// provisionKeys returns nil if no keys are configured.
func provisionKeys(configured []string, logger *zap.Logger) (*KeyRing, error) {
	if len(configured) == 0 {
		return nil, nil
	}
	repl := caddy.NewReplacer()
	texts := make([]string, 0, len(configured))
	for i, text := range configured {
		keys, err := secret.Resolve(repl, text)
		if err != nil {
			return nil, err
		}
		if secret.IsLiteral(text) {
			logger.Warn("an encryption key is written in the config itself, where it can be read through the admin API; "+
				"use a placeholder such as {file./run/secrets/keys}", zap.Int("argument", i+1))
		}
		texts = append(texts, keys.Reveal())
	}
	return newKeyRing(texts...)
}
