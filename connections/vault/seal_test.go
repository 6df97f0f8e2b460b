package vault

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// What is moved, in the database, to where it does not belong does not open.
func TestMovedSecrets(t *testing.T) { eachDatabase(t, moved) }

func moved(d *database) {
	n := d.node()
	const swap = "UPDATE connector_connection_secrets SET sealed = (SELECT sealed FROM connector_connection_secrets WHERE id = $1) WHERE id = $2"
	for what, move := range map[string]func(mine, other string){
		"another connection's": func(mine, other string) { n.exec(swap, other+"/0", mine+"/0") },
		"another scheme's":     func(mine, _ string) { n.exec(swap, mine+"/1", mine+"/0") },
		"the whole row of another": func(mine, other string) {
			n.exec("DELETE FROM connector_connection_secrets WHERE connection_id = $1", mine)
			n.exec("UPDATE connector_connection_secrets SET connection_id = $1 WHERE connection_id = $2", mine, other)
		},
		"the schemes changed over": func(mine, _ string) {
			n.exec("UPDATE connector_connection_secrets SET scheme = 1 - scheme WHERE connection_id = $1", mine)
		},
		"another owner": func(mine, _ string) { n.exec("UPDATE connector_connections SET owner = 'mallory' WHERE id = $1", mine) },
		"another owner, all over": func(mine, _ string) {
			n.exec("UPDATE connector_connections SET owner = 'mallory' WHERE id = $1", mine)
			n.exec("UPDATE connector_connection_secrets SET bound = $1 WHERE id = $2", boundTo("mallory", "zendesk", `{"subdomain":"acme"}`, 1), mine+"/0")
		},
		"another host": func(mine, _ string) {
			n.exec(`UPDATE connector_connections SET variables = '{"subdomain":"evil"}' WHERE id = $1`, mine)
		},
		"another API": func(mine, _ string) { n.exec("UPDATE connector_connections SET api = 'evil' WHERE id = $1", mine) },
		"another version": func(mine, _ string) {
			n.exec("UPDATE connector_connection_secrets SET version = 2 WHERE connection_id = $1", mine)
		},
		"a bit": func(mine, _ string) {
			n.exec("UPDATE connector_connection_secrets SET sealed = $1 WHERE id = $2", []byte{1, 2, 3}, mine+"/0")
		},
		"an old credential": func(mine, _ string) { n.putOldBack(mine) },
		"one of other bytes": func(mine, _ string) {
			n.exec("UPDATE connector_connection_secrets SET sealed = $1 WHERE id = $2", make([]byte, 64), mine+"/0")
		},
	} {
		mine, other := n.create("alice", what, "planted-1", "planted-2"), n.create("bob", what, "planted-3", "planted-4")
		n.find(mine.ID)
		move(mine.ID, other.ID)
		c, err := n.Load(n.Context(), mine.ID)
		is(n, what, err, ErrUnreadable)
		if c != nil {
			n.Errorf("%s: %v", what, c)
		}
		// until the changes before have been told of
		eventually(n, what+": ten requests that share one read", func() bool {
			n.cache.forgetAll()
			return reads(func() {
				for range 10 {
					_, err := n.Find(n.Context(), mine.ID)
					is(n, what, err, ErrUnreadable)
				}
			}) == 1
		})
		if logged := n.logged(); !strings.Contains(logged, mine.ID) || strings.Contains(logged, "planted") {
			n.Errorf("%s: logged %s", what, logged)
		}
	}
}

func (n *node) putOldBack(id string) {
	n.Helper()
	var old []byte
	if err := n.db.QueryRow(n.Context(), "SELECT sealed FROM connector_connection_secrets WHERE id = $1", id+"/0").Scan(&old); err != nil {
		n.Fatal(err)
	}
	if _, err := n.SetSecrets(n.Context(), "alice", id, 0, 0, []byte("planted-5"), Active); err != nil {
		n.Fatal(err)
	}
	n.exec("UPDATE connector_connection_secrets SET sealed = $1 WHERE id = $2", old, id+"/0")
}

// A connection that was changed past this program gets no token.
func TestNoTokenForMoved(t *testing.T) { eachDatabase(t, noToken) }

func noToken(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "token-1").ID
	is(n, "a lease", n.lease(id, 1, "a", time.Minute), nil)
	n.exec(`UPDATE connector_connections SET variables = '{"subdomain":"evil"}' WHERE id = $1`, id)
	is(n, "saved", n.save(id, 1, "a", "token-2"), ErrUnreadable)
	_, err := n.Load(n.Context(), id)
	is(n, "loaded", err, ErrUnreadable)
}

// An unreadable connection can be seen, repaired and deleted by its owner.
func TestUnreadable(t *testing.T) { eachDatabase(t, unreadable) }

func unreadable(d *database) {
	n := d.node()
	id := n.create("alice", "acme", "key").ID
	n.exec("UPDATE connector_connection_secrets SET sealed = $1 WHERE connection_id = $2", []byte("x"), id)
	_, err := n.Load(n.Context(), id)
	is(n, "loaded", err, ErrUnreadable)
	_, err = n.Get(n.Context(), "alice", id)
	is(n, "seen", err, nil)
	_, err = n.Update(n.Context(), "alice", id, 0, Change{Variables: &map[string]string{}})
	is(n, "other variables", err, ErrUnreadable)
	_, err = n.Update(n.Context(), "alice", id, 0, Change{Name: pointer("new")})
	is(n, "another name", err, nil)
	_, err = n.SetSecrets(n.Context(), "alice", id, 0, 0, []byte("new"), Active)
	is(n, "repaired", err, nil)
	if string(n.find(id).Secret(0)) != "new" {
		n.Error("it is not repaired")
	}
	n.exec("UPDATE connector_connection_secrets SET sealed = $1 WHERE connection_id = $2", []byte("x"), id)
	is(n, "deleted", n.Delete(n.Context(), "alice", id), nil)
}

// What a credential is bound to can be read in one way only.
func TestBoundTo(t *testing.T) {
	seen := make(map[string]string)
	parts := []string{"", "a", "a/", "1:a", "1:a,", ",", "a,1:b", "/0", "\x00", "1"}
	for _, owner := range parts {
		for _, api := range parts {
			for scheme := range 12 {
				for version := range int64(12) {
					variables := []string{"{}", `{"a":"b"}`}[version%2]
					place := string(secretPlace(secretID("X", scheme), boundTo(owner, api, variables, version/2)))
					what := fmt.Sprintf("%q %q %d %d", owner, api, scheme, version)
					if before, ok := seen[place]; ok {
						t.Errorf("%s and %s are %q", before, what, place)
					}
					seen[place] = what
				}
			}
		}
	}
}

// Neither the database's file nor any column of a server's tables has a secret that
// can be read.
func TestSecretsAtRest(t *testing.T) { eachDatabase(t, atRest) }

func atRest(d *database) {
	n := d.node()
	secrets := []string{"planted-api-key", "planted-token-1", "planted-token-2", "planted-verifier", "planted-data"}
	id := n.create("alice", "known-name", secrets[1], secrets[0]).ID
	is(n, "a lease", n.lease(id, 1, "a", time.Minute), nil)
	is(n, "saved", n.save(id, 1, "a", secrets[2]), nil)
	err := n.BeginFlow(n.Context(), Flow{Owner: "known-owner", Verifier: credential.SecretOf(secrets[3]), Data: credential.SecretOf(secrets[4])})
	is(n, "a flow", err, nil)
	all := n.everything()
	for _, known := range []string{"known-name", id, "known-owner"} {
		if !strings.Contains(all, known) {
			n.Errorf("%q is not in what was looked at", known)
		}
	}
	for _, secret := range append(secrets, "planted") {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(all, form) {
				n.Errorf("the database has %q", form)
			}
		}
	}
}

// everything returns what is stored: the files, or all rows of all tables.
func (n *node) everything() string {
	n.Helper()
	var all strings.Builder
	if n.path != "" {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(n.path + suffix)
			if err != nil {
				n.Fatal(err)
			}
			all.Write(content)
		}
		return all.String()
	}
	for _, table := range n.texts("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") {
		for _, row := range n.texts(`SELECT t::text FROM "` + table + `" AS t`) {
			all.WriteString(row + "\n")
		}
	}
	return all.String()
}

func (n *node) texts(query string) (found []string) {
	n.Helper()
	rows, err := n.db.Query(n.Context(), query)
	if err != nil {
		n.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		err = errors.Join(err, rows.Scan(&text))
		found = append(found, text)
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		n.Fatal(err)
	}
	return found
}
