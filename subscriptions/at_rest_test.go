package subscriptions

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Neither the database's file nor any column of a server's tables has a secret
// that can be read.
func TestSecretsAtRest(t *testing.T) { eachDatabase(t, secretsAtRest) }

func secretsAtRest(t *testing.T, e *edge, options string) {
	hook := shaker(t, hasHookSecret, echoHookSecret)
	const planted = "Bearer planted-header-value"
	sub := e.subscribe("alice", "p1", "target_url", hook.URL, "handshake", "x-hook-secret", "headers", map[string]string{"Authorization": planted})
	pair := e.subscribe("alice", "p1", "target_url", hook.URL+"/pair", "signature", "v1a").id()
	rotated := e.do("alice", "POST", "/subscriptions/"+sub.id()+"/secret", "")
	e.do("alice", "POST", "/subscriptions/"+pair+"/secret", "").is(t, http.StatusOK, "")
	e.publish("p1", "task.create", `{"of":"an event"}`)
	eventually(t, "both pushes, and their results", func() bool {
		return e.ask("SELECT count(*) FROM connector_attempts") == "2"
	})

	secrets := append(e.secrets(sub.id()), e.secrets(pair)...)
	secrets = append(secrets, planted, "planted-header-value", hook.seen()[0].header.Get("X-Hook-Secret"))
	if len(secrets) != 7 || !slices.Contains(secrets, rotated.body["secret"].(string)) {
		t.Fatalf("%d secrets", len(secrets))
	}
	forms := make(map[string]bool)
	for _, secret := range secrets {
		forms[secret] = true
		_, encoded, _ := strings.Cut(secret, "_")
		if raw, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(raw) > 0 {
			forms[string(raw)], forms[encoded] = true, true
		}
	}
	for _, form := range slices.Collect(maps.Keys(forms)) {
		forms[hex.EncodeToString([]byte(form))] = true // as PostgreSQL writes bytes
	}
	all := e.everything(options)
	for _, known := range []string{"an event", sub.id(), hook.URL} {
		if !strings.Contains(all, known) && !strings.Contains(all, hex.EncodeToString([]byte(known))) {
			t.Errorf("%q is not in what was looked at", known)
		}
	}
	for form := range forms {
		if strings.Contains(all, form) {
			t.Errorf("the database has %q", form)
		}
	}
}

// everything returns what is stored: the files, or all rows of all tables.
func (e *edge) everything(options string) string {
	e.t.Helper()
	var all strings.Builder
	if options == "" {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(e.path + suffix)
			if err != nil {
				e.t.Fatal(err)
			}
			all.Write(content)
		}
		return all.String()
	}
	for _, table := range e.texts("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") {
		for _, row := range e.texts(`SELECT t::text FROM "` + table + `" AS t`) {
			all.WriteString(row + "\n")
		}
	}
	return all.String()
}

// texts returns a column.
func (e *edge) texts(query string, args ...any) (found []string) {
	e.t.Helper()
	rows, err := e.db().Query(e.t.Context(), query, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			e.t.Fatal(err)
		}
		found = append(found, text)
	}
	if err := rows.Err(); err != nil {
		e.t.Fatal(err)
	}
	return found
}
