package vault

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// Nothing that prints or encodes a connection, or what holds one, has credentials.
func TestRedacted(t *testing.T) {
	n := inFile(t).node()
	c := n.find(n.create("alice", "acme", "planted-key").ID)
	c.Memo().Store("planted-memo")
	flow := Flow{Owner: "alice", Verifier: credential.SecretOf("planted-verifier"), Data: credential.SecretOf("planted-data")}
	made := New{Owner: "alice", Secrets: [][]byte{[]byte("planted-new")}}
	held := struct {
		Exported   *Connection
		unexported *Connection
		value      Connection
		flow       Flow
		entry      *entry
		store      *Store
	}{c, c, *c, flow, &entry{connection: c}, nil}
	values := map[string]any{
		"connection": c, "value": *c, "list": []*Connection{c}, "map": map[string]Connection{"x": *c}, "inner": c.inner,
		"holder": held, "holder's address": &held, "flow": flow, "flows": []*Flow{&flow}, "new": made, "new one's address": &made,
	}
	for what, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%e", "%c", "%U", "%08.3f"} {
			check(t, what+" "+verb, fmt.Sprintf(verb, value))
		}
		var out bytes.Buffer
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel)
		zap.New(core).Info("x", zap.Any("value", value), zap.Reflect("reflected", value), zap.Error(fmt.Errorf("of %v", value)))
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", value)
		encoded, _ := json.Marshal(value)
		marked, _ := xml.Marshal(value)
		if !strings.HasPrefix(what, "new") { // gob asks no tag, and what is given is the caller's
			_ = gob.NewEncoder(&out).Encode(value)
		}
		check(t, what, out.String()+string(encoded)+string(marked))
	}
	for _, value := range []any{c, *c, made, flow} {
		if printed := fmt.Sprintf("%+v", value); !strings.Contains(printed, "REDACTED") {
			t.Errorf("printed: %s", printed)
		}
	}
}

func check(t *testing.T, what, printed string) {
	t.Helper()
	for _, form := range []string{"planted", fmt.Sprintf("%x", "planted"), fmt.Sprintf("%X", "planted"), fmt.Sprint([]byte("planted"))[1:20], "cGxhbnRl"} {
		if strings.Contains(printed, form) {
			t.Errorf("%s: %s", what, printed)
		}
	}
}
