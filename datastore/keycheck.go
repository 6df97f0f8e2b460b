package datastore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// checkText is what every key in use has sealed in the table connector_keys.
var checkText = []byte("caddy-connector")

func checkPlace(id string) []byte { return []byte("connector_keys\x00" + id) }

// checkKeys takes the ring of the config, or else of the key file, into use. It
// is an error if the ring lacks a key that something in the database is sealed
// with.
func (db *DB) checkKeys(ctx context.Context) error {
	var ring *KeyRing
	err := db.store.write(ctx, func(ctx context.Context, tx *Tx) error {
		checks, err := readChecks(ctx, tx)
		if err != nil {
			return err
		}
		if ring = db.configured; ring == nil {
			if ring, err = db.keyFile(len(checks) > 0); err != nil {
				return err
			}
		}
		for id, sealed := range checks {
			if err := db.checkKey(ring, id, sealed); err != nil {
				return err
			}
		}
		return tx.Remember(ctx, ring)
	})
	if err == nil {
		db.use(ring)
	}
	return err
}

// Remember has the database know that something which the transaction writes is
// sealed with the ring's first key. Whoever seals calls it, so that no rotation
// forgets a key that is still in use: of a node that was left out, or of a request
// that had begun before.
func (tx *Tx) Remember(ctx context.Context, ring *KeyRing) error {
	first := ring.keys[0].id.String()
	err := tx.QueryRow(ctx, "SELECT 1 FROM connector_keys WHERE id = $1"+tx.Locking("KEY SHARE"), first).Scan(new(int))
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO connector_keys (id, sealed) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
		first, ring.Seal(checkText, checkPlace(first)))
	return err
}

func readChecks(ctx context.Context, tx *Tx) (map[string][]byte, error) {
	rows, err := tx.Query(ctx, "SELECT id, sealed FROM connector_keys")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	checks := make(map[string][]byte)
	for rows.Next() {
		var id string
		var sealed []byte
		if err := rows.Scan(&id, &sealed); err != nil {
			return nil, err
		}
		checks[id] = sealed
	}
	return checks, rows.Err()
}

// keyError says that the keys don't fit the database.
type keyError struct{ text string }

func (e keyError) Error() string { return e.text }

func (db *DB) checkKey(ring *KeyRing, id string, sealed []byte) error {
	text, err := ring.Open(sealed, checkPlace(id))
	switch {
	case err == nil && bytes.Equal(text, checkText):
		return nil
	case !errors.Is(err, ErrUnknownKey):
		return keyError{fmt.Sprintf("the check of encryption key %s in the database is damaged", id)}
	case db.configured == nil:
		return keyError{fmt.Sprintf("the key file %s lacks the key %s, which secrets in the database are sealed with", db.keyPath(), id)}
	case db.keyPath() != "" && exists(db.keyPath()):
		return keyError{fmt.Sprintf("encryption_keys lack the key %s, which secrets in the database are sealed with; "+
			"it may be in the file %s: name that file as the last of encryption_keys until the keys are rotated", id, db.keyPath())}
	}
	return keyError{fmt.Sprintf("encryption_keys lack the key %s, which secrets in the database are sealed with", id)}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keyFile reads the keys beside the database, or makes the first one.
func (db *DB) keyFile(needed bool) (*KeyRing, error) {
	path := db.keyPath()
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && needed:
		return nil, keyError{fmt.Sprintf("the key file %s is missing: put it back, for the secrets in the database are sealed with it", path)}
	case errors.Is(err, fs.ErrNotExist):
		if err := makeKeyFile(path); err != nil {
			return nil, fmt.Errorf("making a key file: %w", err)
		}
		db.store.log().Warn("made a key that seals the secrets in the database; "+
			"keep a copy, but not with the copies of the database: without it, the secrets are lost", zap.String("file", path))
	case err != nil:
		return nil, err
	case info.Mode().Perm()&0o077 != 0:
		db.store.log().Warn("the key file can be read by others than its owner", zap.String("file", path),
			zap.Stringer("mode", info.Mode().Perm()))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ring, err := newKeyRing(string(text))
	if err != nil {
		return nil, keyError{fmt.Sprintf("the key file %s: %v", path, err)}
	}
	return ring, nil
}

// makeKeyFile makes the file whole or not at all, and durable before anything
// is sealed with it.
func makeKeyFile(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(NewKey() + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// reencrypt seals everything with the first key, so that the other keys are not
// needed any more.
func (db *DB) reencrypt(ctx context.Context) (int, error) {
	ring, err := db.KeyRing()
	if err != nil {
		return 0, err
	}
	total, err := db.sealAll(ctx, ring)
	if err != nil {
		return total, err
	}
	// this waits for the transactions that remember another key
	err = db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM connector_keys WHERE id <> $1", ring.keys[0].id.String())
		return err
	})
	if err != nil {
		return total, err
	}
	late, err := db.sealAll(ctx, ring) // what they have written
	return total + late, err
}

// sealAll has the features seal everything with the first key.
func (db *DB) sealAll(ctx context.Context, ring *KeyRing) (total int, err error) {
	for _, feature := range features {
		if feature.Reencrypt == nil {
			continue
		}
		n, err := feature.Reencrypt(ctx, db, ring)
		total += n
		if err != nil {
			return total, fmt.Errorf("re-encrypting what %s keeps: %w", feature.Name, err)
		}
	}
	return total, nil
}
