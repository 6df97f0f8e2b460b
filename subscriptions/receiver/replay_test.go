package receiver

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// A webhook passes once, whatever is left out of its signatures or changed in
// what is not signed; its sender's own retry passes.
func TestReplay(t *testing.T) {
	h, c := provisioned(t, new(Handler), currentSecret, previousSecret)
	post := func() *http.Request { return newPost(t, "msg", event, currentSecret, previousSecret) }
	signatures := strings.Fields(post().Header.Get("Webhook-Signature"))
	if s := serve(t, h, post()); s.code(t) != "ok" {
		t.Fatal(s.code(t))
	}
	for name, change := range map[string]func(*http.Request){
		"as it was":        func(*http.Request) {},
		"first signature":  func(r *http.Request) { r.Header.Set("Webhook-Signature", signatures[0]) },
		"second signature": func(r *http.Request) { r.Header.Set("Webhook-Signature", signatures[1]) },
		"other order":      func(r *http.Request) { r.Header.Set("Webhook-Signature", signatures[1]+" "+signatures[0]) },
		"other URL":        func(r *http.Request) { r.URL.Path, r.Host = "/other", "other.example" },
		"other method":     func(r *http.Request) { r.Method = http.MethodPut },
	} {
		r := post()
		change(r)
		s := serve(t, h, r)
		if s.Code != http.StatusConflict || s.code(t) != "replayed" || s.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %s %v", name, s.Code, s.code(t), s.Header())
		}
	}
	c.seconds += 300
	if got := serve(t, h, post()).code(t); got != "replayed" {
		t.Errorf("in the last second: %s", got)
	}
	c.seconds++
	if got := serve(t, h, post()).code(t); got != "timestamp_expired" {
		t.Errorf("after it: %s", got)
	}

	// a retry
	secret, err := signature.ParseSecret(previousSecret)
	if err != nil {
		t.Fatal(err)
	}
	retry := post()
	if err := signature.Sign(retry.Header, signature.Names{}, "msg", c.now(), []byte(event), secret); err != nil {
		t.Fatal(err)
	}
	if s := serve(t, h, retry); s.code(t) != "ok" || s.id != "msg" {
		t.Errorf("a retry: %s", s.code(t))
	}
}

// Only what was signed is remembered, and only what was read whole.
func TestNotRemembered(t *testing.T) {
	h, c := provisioned(t, new(Handler), currentSecret)
	other := newPost(t, "msg", event, previousSecret)
	broken := newPost(t, "msg", event, currentSecret)
	broken.Body = http.NoBody
	early := newPost(t, "msg", event, currentSecret)
	c.seconds -= 301
	if got := serve(t, h, early).code(t); got != "timestamp_early" {
		t.Error(got)
	}
	c.seconds = signedAt
	for _, r := range []*http.Request{other, broken} {
		if got := serve(t, h, r).code(t); got != "signature_invalid" {
			t.Error(got)
		}
	}
	if h.replays.Len() != 0 {
		t.Errorf("%d remembered", h.replays.Len())
	}
	if got := serve(t, h, newPost(t, "msg", event, currentSecret)).code(t); got != "ok" || h.replays.Len() != 1 {
		t.Errorf("%s, %d remembered", got, h.replays.Len())
	}
}

// Two endpoints with secrets of their own may get one event in one second.
func TestFanOut(t *testing.T) {
	one, _ := provisioned(t, new(Handler), currentSecret)
	other, _ := provisioned(t, new(Handler), previousSecret)
	same, _ := provisioned(t, new(Handler), strings.TrimPrefix(currentSecret, "whsec_"))
	other.replays, same.replays = one.replays, one.replays
	for _, tc := range []struct {
		h      *Handler
		secret string
		want   string
	}{
		{one, currentSecret, "ok"},
		{other, previousSecret, "ok"},
		{same, currentSecret, "replayed"}, // in another spelling
	} {
		if got := serve(t, tc.h, newPost(t, "evt", event, tc.secret)).code(t); got != tc.want {
			t.Errorf("%s: %s", tc.secret, got)
		}
	}
}

// A body that is held back until the webhook is forgotten comes too late.
func TestSlowReplay(t *testing.T) {
	h, c := provisioned(t, new(Handler), currentSecret)
	if got := serve(t, h, newPost(t, "msg", event, currentSecret)).code(t); got != "ok" {
		t.Fatal(got)
	}
	slow := newPost(t, "msg", event, currentSecret)
	slow.Body = &watchedBody{Reader: slow.Body, onRead: func() { c.seconds += 1000 }}
	if got := serve(t, h, slow).code(t); got != "timestamp_expired" {
		t.Error(got)
	}
}

func TestReplayCacheFull(t *testing.T) {
	h, _ := provisioned(t, new(Handler), currentSecret)
	h.replays = replay.New(1)
	serve(t, h, newPost(t, "msg_1", event, currentSecret))
	s := serve(t, h, newPost(t, "msg_2", event, currentSecret))
	if s.Code != http.StatusServiceUnavailable || s.code(t) != "replay_cache_full" || s.Header().Get("Retry-After") != "60" {
		t.Errorf("%d %s %v", s.Code, s.code(t), s.Header())
	}
}

// The memory is the process's: a handler that a reload made has it, with other
// secrets too.
func TestReplayOverReload(t *testing.T) {
	id := "msg_" + signature.NewSecret().Reveal()[8:20]
	load := func(secrets ...string) *Handler {
		h := loaded(t, new(Handler), secrets...)
		if now := h.now(); time.Since(now).Abs() > time.Minute {
			t.Errorf("its clock says %v", now)
		}
		h.now = (&clock{signedAt}).now
		return h
	}
	if got := serve(t, load(previousSecret, currentSecret), newPost(t, id, event, currentSecret, previousSecret)).code(t); got != "ok" {
		t.Fatal(got)
	}
	for _, secrets := range [][]string{{previousSecret}, {currentSecret}, {publicKey, currentSecret}, {currentSecret, previousSecret}} {
		if got := serve(t, load(secrets...), newPost(t, id, event, currentSecret, previousSecret)).code(t); got != "replayed" {
			t.Errorf("after a reload with %d secrets: %s", len(secrets), got)
		}
	}
}

// Of many that come at once, one passes, and each has its own body.
func TestConcurrent(t *testing.T) {
	h, _ := provisioned(t, new(Handler), currentSecret, publicKey)
	h.replays = replay.New(1000)
	h.now = func() time.Time { return time.Unix(signedAt, 0) }
	var passed atomic.Int32
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range 20 {
				body := strings.Repeat(string(rune('a'+n)), 1000*n)
				secrets := []string{currentSecret, privateKey}
				r := newPost(t, "msg_"+string(rune('a'+n)), body, secrets[worker%2])
				if s := serve(t, h, r); s.behind != nil {
					passed.Add(1)
					if s.body != body || s.id != r.Header.Get("Webhook-Id") {
						t.Errorf("%d: %d bytes, %s", n, len(s.body), s.id)
					}
				} else if s.code(t) != "replayed" {
					t.Error(s.code(t))
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 20 {
		t.Errorf("%d of 20 passed", passed.Load())
	}
}
