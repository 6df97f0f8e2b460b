package receiver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

const (
	currentSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	previousSecret = "whsec_cHJldmlvdXMtcHJldmlvdXMtcHJldmlvdXM="
	privateKey     = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	publicKey      = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	hubText        = "It's a Secret to Everybody, is it"

	signedAt = 1700000000
	event    = `{"type":"task.create"}`
)

// clock is the time of a handler. It starts when requests are signed.
type clock struct{ seconds int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds, 999999999) }

// loaded returns a handler with secrets from the environment.
func loaded(t testing.TB, h *Handler, secrets ...string) *Handler {
	t.Helper()
	for i, plain := range secrets {
		name := fmt.Sprintf("RECEIVER_SECRET_%d", i)
		t.Setenv(name, plain)
		h.Secrets = append(h.Secrets, "{env."+name+"}")
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// provisioned returns a handler with secrets from the environment, a memory of
// its own, and a clock.
func provisioned(t testing.TB, h *Handler, secrets ...string) (*Handler, *clock) {
	t.Helper()
	loaded(t, h, secrets...)
	c := &clock{signedAt}
	h.logger, h.replays, h.now = zap.NewNop(), replay.New(100), c.now
	return h, c
}

// newPost returns a request that was signed with the secrets.
func newPost(t testing.TB, id, body string, secrets ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	var parsed []signature.Secret
	for _, text := range secrets {
		secret, err := signature.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, secret)
	}
	if err := signature.Sign(r.Header, signature.Names{}, id, time.Unix(signedAt, 0), []byte(body), parsed...); err != nil {
		t.Fatal(err)
	}
	return r
}

// served is what became of a request.
type served struct {
	*httptest.ResponseRecorder
	behind        *http.Request // what the next handler got, or nil
	body          string        // what it read
	id, timestamp string        // the placeholders it saw
}

func serve(t testing.TB, h *Handler, r *http.Request) served {
	t.Helper()
	s := served{ResponseRecorder: httptest.NewRecorder()}
	repl := caddyhttp.NewTestReplacer(r)
	err := h.ServeHTTP(s, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		s.behind = r
		body, err := io.ReadAll(r.Body)
		s.body = string(body)
		s.id = repl.ReplaceKnown("{http.verify_webhook.id}", "")
		s.timestamp = repl.ReplaceKnown("{http.verify_webhook.timestamp}", "")
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// code is that of the problem that was answered, or ok.
func (s served) code(t testing.TB) string {
	t.Helper()
	if s.behind != nil {
		return "ok"
	}
	var problem struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal(s.Body.Bytes(), &problem); err != nil || problem.Status != s.Code {
		t.Fatalf("%v: %d %s", err, s.Code, s.Body)
	}
	return problem.Code
}

// counted returns by how much a result's counter grows while f runs.
func counted(result string, f func()) float64 {
	before := testutil.ToFloat64(requests.WithLabelValues(result))
	f()
	return testutil.ToFloat64(requests.WithLabelValues(result)) - before
}

func TestWebhookPasses(t *testing.T) {
	h, c := provisioned(t, new(Handler), currentSecret, publicKey)
	for i, tc := range []struct {
		secrets []string
		at      int64
		result  string
	}{
		{[]string{currentSecret}, 0, "current"},
		{[]string{privateKey}, 0, "previous"},
		{[]string{privateKey, currentSecret}, 0, "current"},
		{[]string{previousSecret, currentSecret}, 300, "current"},
		{[]string{currentSecret}, -300, "current"},
	} {
		c.seconds = signedAt + tc.at
		id := fmt.Sprintf("msg_%d", i)
		r := newPost(t, id, event, tc.secrets...)
		r.Header.Set("X-Other", "kept")
		sent := r.Header.Clone()
		var s served
		if n := counted(tc.result, func() { s = serve(t, h, r) }); n != 1 {
			t.Errorf("%d: counted %v times", i, n)
		}
		if s.code(t) != "ok" || s.body != event || s.id != id || s.timestamp != "1700000000" {
			t.Errorf("%d: %s %q %q %q", i, s.code(t), s.body, s.id, s.timestamp)
		}
		if got := s.behind.Header; fmt.Sprint(got) != fmt.Sprint(sent) || len(s.Header()) > 0 {
			t.Errorf("%d: %v behind, %v in the answer", i, got, s.Header())
		}
	}
}

// Each option does what it says.
func TestOptions(t *testing.T) {
	h, c := provisioned(t, &Handler{HeaderPrefix: "Svix", Tolerance: caddy.Duration(10 * time.Second)}, currentSecret)
	r := newPost(t, "msg", event, currentSecret)
	if got := serve(t, h, r).code(t); got != "signature_missing" {
		t.Errorf("webhook-*: %s", got)
	}
	svix := func(id string) *http.Request {
		r := newPost(t, id, event, currentSecret)
		for name, values := range r.Header {
			delete(r.Header, name)
			r.Header[strings.Replace(name, "Webhook-", "Svix-", 1)] = values
		}
		return r
	}
	for seconds, want := range map[int64]string{-11: "timestamp_early", -10: "ok", 0: "ok", 10: "ok", 11: "timestamp_expired"} {
		c.seconds = signedAt + seconds
		if got := serve(t, h, svix(fmt.Sprint(seconds))).code(t); got != want {
			t.Errorf("svix-*, %d s later: %s", seconds, got)
		}
	}
	h, _ = provisioned(t, new(Handler), currentSecret)
	if h.MaxBody != 1<<20 || h.Tolerance != caddy.Duration(5*time.Minute) || h.HeaderPrefix != "" {
		t.Errorf("defaults: %+v", h)
	}
}

// Nothing of a request is in logs or in what the handler answers itself.
func TestNothingLeaks(t *testing.T) {
	h, c := provisioned(t, new(Handler), currentSecret)
	core, logs := observer.New(zap.DebugLevel)
	h.logger = zap.New(core)
	sign := func(secret string) *http.Request { return newPost(t, "leak_id", "leak body", secret) }
	malformed, missing, early := sign(currentSecret), sign(currentSecret), sign(currentSecret)
	malformed.Header.Add("Webhook-Id", "leak")
	missing.Header.Del("Webhook-Signature")
	early.Header.Set("Webhook-Timestamp", "17000000009")
	serve(t, h, sign(currentSecret))
	for want, r := range map[string]*http.Request{
		"signature_missing": missing, "signature_malformed": malformed, "timestamp_early": early,
		"signature_invalid": sign(previousSecret), "replayed": sign(currentSecret),
	} {
		values := strings.Join(r.Header["Webhook-Signature"], " ")
		s := serve(t, h, r)
		entries := logs.TakeAll()
		if s.code(t) != want || len(entries) != 1 || entries[0].Level != zap.WarnLevel || entries[0].ContextMap()["result"] != want {
			t.Errorf("%s: %s, %v", want, s.code(t), entries)
		}
		for _, text := range []string{"leak", "17000000009", "/hook", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", values} {
			if shown := fmt.Sprint(s.Body, s.Header(), entries); text != "" && strings.Contains(shown, text) {
				t.Errorf("%s: %q in %s", want, text, shown)
			}
		}
	}
	// neither a good request nor a bad body is worth a line
	c.seconds++
	large := sign(currentSecret)
	large.ContentLength = 2 << 20
	serve(t, h, large)
	serve(t, h, newPost(t, "other", "leak body", currentSecret))
	if logs.Len() > 0 {
		t.Errorf("%v", logs.All())
	}
}

func TestModule(t *testing.T) {
	module := new(Handler).CaddyModule()
	if _, ok := module.New().(*Handler); !ok || module.ID != "http.handlers.verify_webhook" {
		t.Errorf("%v", module)
	}
}
