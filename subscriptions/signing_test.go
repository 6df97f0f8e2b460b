package subscriptions

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// v1a: the subscriber has a public key, and no secret.
func TestKeyPair(t *testing.T) { eachDatabase(t, keyPair) }

func keyPair(t *testing.T, e *edge, _ string) {
	hook := newReceiver(t, nil)
	sub := e.subscribe("alice", "p1", "target_url", hook.URL, "signature", "v1a")
	path := "/subscriptions/" + sub.id()
	first, _ := sub.body["public_key"].(string)
	if !strings.HasPrefix(first, "whpk_") || sub.body["secret"] != nil || sub.body["signature"] != "v1a" || strings.Contains(sub.text, "whsk_") {
		t.Fatalf("answer %s", sub.text)
	}
	if got := e.do("alice", "GET", path, ""); got.body["public_key"] != first {
		t.Errorf("answer %s", got.text)
	}
	e.publish("p1", "task.create", "{}")
	eventually(t, "the push", func() bool { return len(hook.seen()) == 1 })
	verify(t, hook.seen()[0], first)

	rotated := e.do("alice", "POST", path+"/secret", "")
	second, _ := rotated.body["public_key"].(string)
	if rotated.is(t, http.StatusOK, ""); len(rotated.body) != 1 || second == first || second == "" {
		t.Fatalf("answer %s", rotated.text)
	}
	if got := e.do("alice", "GET", path, ""); got.body["public_key"] != second {
		t.Errorf("answer %s", got.text)
	}
	e.publish("p1", "task.create", "{}")
	eventually(t, "the push", func() bool { return len(hook.seen()) == 2 })
	verify(t, hook.seen()[1], first, second)
	if strings.Contains(e.logs(), "whsk_") {
		t.Error("the logs have the private key")
	}
}

func TestSignatureIsChecked(t *testing.T) {
	e := start(t, site)
	for code, pairs := range map[string][]any{
		"signature_invalid": {"signature", "v2"},
		"secret_invalid":    {"signature", "v1a", "secret", signature.NewSecret().Reveal()},
	} {
		body := members(append(pairs, "target_url", target, "resource_type", "task", "resource_id", "p1", "events", []string{"*"})...)
		e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusUnprocessableEntity, code)
	}
	if got := e.subscribe("alice", "p1", "signature", "v1"); got.body["signature"] != "v1" || got.body["public_key"] != nil || got.body["secret"] == nil {
		t.Errorf("answer %s", got.text)
	}
}

// Receivers that have fixed names for the fields, or only the other signature.
// What is subscribed stays as it was made when the config changes.
func TestSignatureOptions(t *testing.T) { eachDatabase(t, signatureOptions) }

func signatureOptions(t *testing.T, e *edge, options string) {
	usual, hook, pair := newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil)
	usualSecret := e.subscribe("alice", "p1", "target_url", usual.URL).body["secret"].(string)
	e.load(options, strings.Replace(site, "allow_http", "allow_http\nsignature {\nheaders X-Id X-At X-Sum\nhub\n}", 1))
	eventually(t, "the database", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == 200
	})
	sub := e.subscribe("alice", "p1", "target_url", hook.URL)
	public := e.subscribe("alice", "p1", "target_url", pair.URL, "signature", "v1a").body["public_key"].(string)
	names, err := signature.NamesOf("x-id", "x-at", "x-sum")
	if err != nil {
		t.Fatal(err)
	}
	check := func(push received, key string, hub bool) {
		t.Helper()
		parsed, err := signature.ParseVerifier(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signature.Verify(push.header, names, push.body, time.Now(), signature.DefaultTolerance, parsed); err != nil {
			t.Errorf("%v in %v", err, push.header)
		}
		for name := range push.header {
			if strings.HasPrefix(strings.ToLower(name), "webhook-") {
				t.Errorf("there is %s", name)
			}
		}
		if !hub {
			if push.header["X-Hub-Signature-256"] != nil {
				t.Error("there is a signature that nobody can verify")
			}
			return
		}
		sum, err := signature.ParseHub(push.header)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := signature.ParseHubSecret(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sum.Match(push.body, secret); err != nil {
			t.Error(err)
		}
	}
	e.publish("p1", "task.create", `{"a":1}`)
	all := []*receiver{usual, hook, pair}
	arrived := func(n int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(all, func(r *receiver) bool { return len(r.seen()) < n })
		}
	}
	eventually(t, "the pushes", arrived(1))
	verify(t, usual.seen()[0], usualSecret)
	check(hook.seen()[0], sub.body["secret"].(string), true)
	check(pair.seen()[0], public, false)

	rotated := e.do("alice", "POST", "/subscriptions/"+sub.id()+"/secret", "")
	e.load(options, site)
	eventually(t, "the database", func() bool {
		status, _ := e.try("GET", "/subscriptions", "")
		return status == 200
	})
	e.publish("p1", "task.create", `{"a":2}`)
	eventually(t, "the pushes", arrived(2))
	check(hook.seen()[1], rotated.body["secret"].(string), true)
	if got := usual.seen()[1].header; got["X-Hub-Signature-256"] != nil {
		t.Errorf("header %v", got)
	}
}
