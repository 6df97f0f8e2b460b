package anychannel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// jsonObject is a JSON object of members that are written as they are; an empty one
// is left out.
func jsonObject(members map[string]string) string {
	var out []string
	for name, value := range members {
		if value != "" {
			out = append(out, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// manifestOf is the smallest manifest with these members besides, or instead.
func manifestOf(members map[string]string) string {
	all := map[string]string{"name": `"Omniwear"`, "id": `"com.omniwear"`, "urls": `{"admin_ui":"https://omniwear.example/admin"}`}
	maps.Copy(all, members)
	return jsonObject(all)
}

// manifestWith is a document in which one member is another.
func manifestWith(name, value string) string { return manifestOf(map[string]string{name: value}) }

// manifestWithURL is a document in which one URL is another.
func manifestWithURL(name, value string) string {
	urls := map[string]string{"admin_ui": `"https://omniwear.example/admin"`}
	urls[name] = value
	return manifestWith("urls", jsonObject(urls))
}

// jsonText is a JSON string of so many characters, of which these are the last.
func jsonText(end string, characters int) string {
	return `"` + strings.Repeat("x", characters-len([]rune(end))) + end + `"`
}

// jsonURL is a JSON string with an https URL of so many characters.
func jsonURL(characters int) string {
	const base = "https://omniwear.example/é"
	return `"` + base + strings.Repeat("é", characters-len([]rune(base))) + `"`
}

// The errors are compared whole: they hold nothing of the document.
func TestParseManifest(t *testing.T) {
	type row struct{ document, want string }
	rows := map[string]row{
		"smallest": {manifestOf(nil), ""},
		"every member": {`{
	"name": "Omniwear", "id": "com.omniwear.instagram", "version": "1.2.3", "author": "Omniwear GmbH",
	"push_client_id": "omniwear", "channelback_files": true, "create_followup_tickets": false,
	"urls": {
		"admin_ui": "https://omniwear.example/admin", "pull_url": "https://omniwear.example/pull",
		"channelback_url": "https://omniwear.example/channelback", "clickthrough_url": "https://omniwear.example/click",
		"healthcheck_url": "https://omniwear.example/health", "about_url": "https://omniwear.example/about",
		"dashboard_url": "https://omniwear.example/dashboard", "event_callback_url": "https://omniwear.example/event"
	}
}`, ""},
		"unknown members":                {manifestWith("icon", `{"a":[1,{"b":null}]}`), ""},
		"an unknown URL that is none":    {manifestWithURL("icon_url", `"http://h/"`), ""},
		"space around":                   {"\r\n\t " + manifestOf(nil) + "\n", ""},
		"optional members that are null": {manifestOf(map[string]string{"version": "null", "author": "null", "push_client_id": "null", "channelback_files": "null"}), ""},
		"optional members that are empty": {
			manifestOf(map[string]string{"version": `""`, "author": `""`, "push_client_id": `""`}), "",
		},
		"https in capitals": {manifestWithURL("admin_ui", `"HTTPS://omniwear.example/"`), ""},

		"nothing":          {"", "not a JSON object"},
		"null":             {"null", "name is missing"},
		"an empty object":  {"{}", "name is missing"},
		"an array":         {"[" + manifestOf(nil) + "]", "not a JSON object"},
		"a string":         {`"s3cr3t"`, "not a JSON object"},
		"a number":         {"1", "not a JSON object"},
		"HTML":             {"<!doctype html><title>s3cr3t</title>", "not a JSON object"},
		"a BOM":            {"\ufeff" + manifestOf(nil), "not a JSON object"},
		"half of it":       {manifestOf(nil)[:20], "not a JSON object"},
		"two documents":    {manifestOf(nil) + manifestOf(nil), "not a JSON object"},
		"trailing garbage": {manifestOf(nil) + "s3cr3t", "not a JSON object"},
		"a trailing comma": {strings.Replace(manifestOf(nil), "}", ",}", 1), "not a JSON object"},
		"deep nesting":     {manifestWith("icon", strings.Repeat("[", 1e5)+strings.Repeat("]", 1e5)), "not a JSON object"},
		"unclosed nesting": {strings.Repeat(`{"urls":`, 1e5), "not a JSON object"},

		"no name":                  {manifestWith("name", ""), "name is missing"},
		"an empty name":            {manifestWith("name", `""`), "name is missing"},
		"a name that is null":      {manifestWith("name", "null"), "name is missing"},
		"no id":                    {manifestWith("id", ""), "id is missing"},
		"an empty id":              {manifestWith("id", `""`), "id is missing"},
		"no urls":                  {manifestWith("urls", ""), "urls is missing"},
		"urls that are null":       {manifestWith("urls", "null"), "urls is missing"},
		"empty urls":               {manifestWith("urls", "{}"), "urls.admin_ui is missing"},
		"no admin_ui":              {manifestWith("urls", `{"pull_url":"https://h/"}`), "urls.admin_ui is missing"},
		"an empty admin_ui":        {manifestWithURL("admin_ui", `""`), "urls.admin_ui is missing"},
		"an admin_ui that is null": {manifestWithURL("admin_ui", "null"), "urls.admin_ui is missing"},

		"a name that is a number":    {manifestWith("name", "5"), "name has the wrong type"},
		"a name that is an object":   {manifestWith("name", `{"s3cr3t":"s3cr3t"}`), "name has the wrong type"},
		"an id that is an array":     {manifestWith("id", `["s3cr3t"]`), "id has the wrong type"},
		"a version that is a number": {manifestWith("version", "1.0"), "version has the wrong type"},
		"an author that is false":    {manifestWith("author", "false"), "author has the wrong type"},
		"a push_client_id of 5":      {manifestWith("push_client_id", "5"), "push_client_id has the wrong type"},
		"channelback_files as text":  {manifestWith("channelback_files", `"s3cr3t"`), "channelback_files has the wrong type"},
		"create_followup_tickets 1":  {manifestWith("create_followup_tickets", "1"), "create_followup_tickets has the wrong type"},
		"urls as text":               {manifestWith("urls", `"s3cr3t"`), "urls has the wrong type"},
		"urls as an array":           {manifestWith("urls", `["https://h/"]`), "urls has the wrong type"},
		"a URL that is a number":     {manifestWithURL("pull_url", "5"), "urls has the wrong type"},
		"a URL that is an object":    {manifestWithURL("s3cr3t", `{"s3cr3t":1}`), "urls has the wrong type"},

		"an http admin_ui":      {manifestWithURL("admin_ui", `"http://s3cr3t/"`), "urls.admin_ui is not an https URL"},
		"a URL that is null":    {manifestWithURL("pull_url", "null"), "urls.pull_url is not an https URL"},
		"an empty URL":          {manifestWithURL("pull_url", `""`), "urls.pull_url is not an https URL"},
		"a relative URL":        {manifestWithURL("pull_url", `"/s3cr3t"`), "urls.pull_url is not an https URL"},
		"a URL with no slashes": {manifestWithURL("pull_url", `"https:s3cr3t"`), "urls.pull_url is not an https URL"},
		"a space before it":     {manifestWithURL("pull_url", `" https://s3cr3t/"`), "urls.pull_url is not an https URL"},

		// a member's name has one spelling
		"a name in capitals":              {manifestOf(map[string]string{"name": "", "NAME": `"Omniwear"`}), "name is missing"},
		"another member named almost so":  {manifestWith("Name", "5"), ""},
		"urls in capitals beside the one": {manifestWith("URLS", "null"), ""},
	}
	for member, longest := range map[string]int{"name": 255, "id": 511, "version": 255, "author": 255, "push_client_id": 128} {
		for _, end := range []string{"", "é", "𝄞"} {
			rows[fmt.Sprint("as long as may be: ", member, end)] = row{manifestWith(member, jsonText(end, longest)), ""}
			rows[fmt.Sprint("too long: ", member, end)] = row{
				manifestWith(member, jsonText(end, longest+1)), fmt.Sprintf("%s is longer than %d characters", member, longest),
			}
		}
		rows["every character takes three bytes: "+member] = row{manifestWith(member, jsonText(strings.Repeat("€", longest), longest)), ""}
	}
	for _, name := range []string{
		"admin_ui", "pull_url", "channelback_url", "clickthrough_url", "healthcheck_url", "about_url", "dashboard_url",
		"event_callback_url",
	} {
		rows["as long as may be: "+name] = row{manifestWithURL(name, jsonURL(511)), ""}
		rows["too long: "+name] = row{manifestWithURL(name, jsonURL(512)), "urls." + name + " is longer than 511 characters"}
		rows["http: "+name] = row{manifestWithURL(name, `"http://s3cr3t/"`), "urls." + name + " is not an https URL"}
	}
	for name, tc := range rows {
		m, err := parseManifest([]byte(tc.document))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: error %q, want %q, of %.300s", name, got, tc.want, tc.document)
		}
		if err == nil && (m.Name == "" || m.ID == "" || m.URLs["admin_ui"] == "") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	t.Logf("%d documents", len(rows))
}

// site answers as the web server of a manifest would, and notes when. There is no
// network, so that only the poller's own waiting takes time.
type site struct {
	answer func(*http.Request) (*http.Response, error) // nil for a good manifest
	mu     sync.Mutex
	asked  []time.Time
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	if s.answer != nil {
		return s.answer(r)
	}
	return answerWith(r, 200, manifestOf(nil))
}

func (s *site) fetches() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func answerWith(r *http.Request, status int, body string) (*http.Response, error) {
	wire := fmt.Sprintf("HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	return http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), r)
}

// newPoller returns a poller of the one manifest of these tests, and its log.
func newPoller(t *testing.T, interval time.Duration, client *site) (*poller, *bytes.Buffer) {
	t.Helper()
	at, err := parseEndpoint("https://omniwear.example/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	known, err := acquireManifest(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := releaseManifest(at); err != nil {
			t.Error(err)
		}
	})
	var logs bytes.Buffer
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	logger := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&logs), zapcore.DebugLevel))
	return &poller{known, t.Name(), interval, client, logger}, &logs
}

// runPoller runs a poller until stop is called, which waits for its end.
func runPoller(t *testing.T, p *poller) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// isAbout checks a time that a poller lets pass, of which a tenth is chance.
func isAbout(got, want time.Duration) bool { return (got - want).Abs() <= want/10 }

// doubling is so many waits of a back-off.
func doubling(n int) (waits []time.Duration) {
	for i := range n {
		waits = append(waits, firstRetry<<i)
	}
	return waits
}

// What passes between fetches that end well (g) or badly (b). The first waits for
// the rest of its config, and where no other wait is given, the interval passes.
func TestPollerWaits(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name     string
		interval time.Duration
		results  string
		want     []time.Duration
	}{
		{"good", time.Hour, "gggg", nil},
		{"back-off", time.Hour, strings.Repeat("b", 12), doubling(9)},
		{"back-off for months", 24 * time.Hour, strings.Repeat("b", 100), doubling(14)},
		{"recovery", time.Hour, "bbbgbbg", []time.Duration{10 * s, 20 * s, 40 * s, time.Hour, 10 * s, 20 * s}},
		{"short interval", 15 * s, "bbbgb", []time.Duration{10 * s, 15 * s, 15 * s, 15 * s, 10 * s}},
		{"shortest interval", minPoll, "bbg", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web, n, enough := new(site), 0, make(chan struct{})
				web.answer = func(r *http.Request) (*http.Response, error) {
					if n++; n == len(tc.results)+1 {
						close(enough)
					}
					switch {
					case n > len(tc.results) || tc.results[n-1] == 'g':
						return answerWith(r, 200, manifestOf(nil))
					case n%3 == 0:
						return nil, errors.New("unreachable")
					case n%3 == 1:
						return answerWith(r, 500, manifestOf(nil))
					}
					return answerWith(r, 200, "{}")
				}
				p, _ := newPoller(t, tc.interval, web)
				begin := time.Now()
				stop := runPoller(t, p)
				<-enough
				stop()
				at := web.fetches()
				if waited := at[0].Sub(begin); waited != firstFetch {
					t.Errorf("the first fetch was after %v", waited)
				}
				for i := range tc.results {
					want := tc.interval
					if i < len(tc.want) {
						want = tc.want[i]
					}
					if got := at[i+1].Sub(at[i]); !isAbout(got, want) {
						t.Errorf("wait %d was %v, want about %v", i+1, got, want)
					}
				}
			})
		})
	}
}

// Edges that start together drift apart.
func TestPollerJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := new(site)
		p, _ := newPoller(t, time.Hour, web)
		runPoller(t, p)
		time.Sleep(100 * time.Hour)
		waits := make(map[time.Duration]bool)
		at := web.fetches()
		for i := range at[1:] {
			waits[at[i+1].Sub(at[i])] = true
		}
		if len(waits) < 80 {
			t.Errorf("%d fetches had only %d different waits", len(at), len(waits))
		}
	})
}

// Integrations with the same manifest, also of two configs, share what is known
// of it. The shortest interval counts.
func TestPollersShare(t *testing.T) {
	const long, short = time.Hour, time.Minute
	for _, tc := range []struct {
		name      string
		intervals []time.Duration
		reload    bool // to a config of the last interval, from one of the first
		want      time.Duration
	}{
		{"the same interval", []time.Duration{long, long}, false, long},
		{"different intervals", []time.Duration{long, short}, false, short},
		{"a config with the same interval", []time.Duration{long, long}, true, long},
		{"a config with a shorter interval", []time.Duration{long, short}, true, short},
		{"a config with a longer interval", []time.Duration{short, long}, true, long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := new(site)
				for i, interval := range tc.intervals {
					p, _ := newPoller(t, interval, web)
					p.integration += fmt.Sprint(i)
					stop := runPoller(t, p)
					if tc.reload && i == 0 {
						time.Sleep(short / 2)
						stop()
					}
				}
				time.Sleep(firstFetch)
				synctest.Wait()
				if n := len(web.fetches()); n != 1 {
					t.Errorf("%d fetches at the start", n)
				}
				time.Sleep(20 * tc.want)
				at := web.fetches()
				if len(at) < 15 {
					t.Fatalf("%d fetches in twenty times %v", len(at), tc.want)
				}
				for i := len(at) - 10; i < len(at); i++ {
					if got := at[i].Sub(at[i-1]); !isAbout(got, tc.want) {
						t.Errorf("a wait of %v, want about %v", got, tc.want)
					}
				}
				for i := range tc.intervals { // each tells when it was last good
					good := time.Unix(int64(valueOf(t, manifestTime, fmt.Sprint(t.Name(), i))), 0)
					if !tc.reload && time.Since(good) > 2*long {
						t.Errorf("integration %d: last good at %v, it is %v", i, good, time.Now())
					}
				}
			})
		})
	}
}

// valueOf returns the value of the series that has these labels.
func valueOf(t *testing.T, collector prometheus.Collector, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			var values []string
			for _, label := range series.GetLabel() {
				values = append(values, label.GetValue())
			}
			if slices.Equal(values, labels) {
				return series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return 0
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A manifest that never comes is a failure, after a time. That a config ends
// meanwhile is none: its poller ends with it, and the next one does not wait
// for longer than any.
func TestPollerEnds(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"waiting for the answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"waiting, with an error of another kind": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, errors.New("use of closed network connection")
		},
		"reading the answer": func(r *http.Request) (*http.Response, error) {
			res, err := answerWith(r, 200, "")
			res.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			}))
			return res, err
		},
		"the answer comes too late": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return answerWith(r, 500, "")
		},
	} {
		run := func(name string, check func(t *testing.T, stop func(), failed func() float64, logs *bytes.Buffer)) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, logs := newPoller(t, time.Hour, &site{answer: answer})
					before := valueOf(t, manifestFetches, p.integration, "failed")
					stop := runPoller(t, p)
					time.Sleep(firstFetch)
					synctest.Wait()
					check(t, stop, func() float64 { return valueOf(t, manifestFetches, p.integration, "failed") - before }, logs)
				})
			})
		}
		run(name+", for too long", func(t *testing.T, _ func(), failed func() float64, logs *bytes.Buffer) {
			time.Sleep(manifestTimeout)
			synctest.Wait()
			if failed() != 1 || !strings.Contains(logs.String(), "last good one stays") {
				t.Errorf("%v fetches failed; the log is %s", failed(), logs)
			}
		})
		run(name+", when the config ends", func(t *testing.T, stop func(), failed func() float64, logs *bytes.Buffer) {
			begin := time.Now()
			stop()
			if waited := time.Since(begin); waited != 0 || failed() != 0 || logs.Len() > 0 {
				t.Errorf("it ended after %v; %v fetches failed; the log is %s", waited, failed(), logs)
			}
			web := new(site)
			next, _ := newPoller(t, time.Hour, web)
			runPoller(t, next)
			time.Sleep(firstFetch)
			synctest.Wait()
			if len(web.fetches()) != 1 {
				t.Error("the next poller waits")
			}
		})
	}
}

// A poller does not wait for the fetch of another config's, or its own config
// could not end meanwhile. It runs in real time, because no other time passes
// while somebody waits for a mutex.
func TestPollerDoesNotWaitForAnother(t *testing.T) {
	fetching, proceed := make(chan struct{}), make(chan struct{})
	p, _ := newPoller(t, time.Hour, &site{answer: func(r *http.Request) (*http.Response, error) {
		close(fetching)
		<-proceed
		return answerWith(r, 200, manifestOf(nil))
	}})
	other := *p
	runPoller(t, p)
	t.Cleanup(func() { close(proceed) })
	<-fetching
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		other.fetchIfDue(ctx)
		close(ended)
	}()
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the other's fetch")
	}
}
