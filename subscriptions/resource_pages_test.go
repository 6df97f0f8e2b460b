package subscriptions

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// many are the JSON objects of projects, without the brackets around them.
func many(from, count int) string {
	var text strings.Builder
	for i := range count {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"id":%d,"value":"Project %d"}`, from+i, from+i)
	}
	return text.String()
}

func number64(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pages answers with count pages of one project, with a link that has the number
// of the next page in the place of %d.
func pages(count int, link string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if n++; n < count {
			w.Header().Add("Link", "</style>; rel=preload")
			w.Header().Add("Link", fmt.Sprintf(link, n))
		}
		_, _ = fmt.Fprintf(w, "[%s]", many(n, 1))
	}
}

// An app's pages are followed, with the same credentials, and only as far as
// needed.
func TestLookupFollowsPages(t *testing.T) {
	t.Setenv("APP_TOKEN", "t0ken")
	a := newApp(t, nil)
	e := start(t, with("from "+a.URL+"/v1/projects?per_page=1", "header X-Token {env.APP_TOKEN}", "forward_credentials"))
	host := strings.TrimPrefix(a.URL, "http://")
	for _, link := range []string{
		"<?page=%d>; rel=next", "<projects?page=%d>; rel=\"next\"", "</v1/projects?page=%d#x>; rel=next", "<" + a.URL + "/v2/projects?page=%d>; rel=next",
		"<//" + host + "/?page=%d>; rel=next", "<HTTP://" + host + "/v1/projects?page=%d>; rel=\"last next\"", "<../v1/./projects?page=%d>; rel=next",
	} {
		a.answers(pages(3, link))
		got := e.do("alice", "GET", "/resources/project", "", "Cookie: session=1")
		if want := fmt.Sprintf("[%s]\n", many(1, 3)); got.StatusCode != 200 || got.text != strings.NewReplacer(`:1,`, `:"1",`, `:2,`, `:"2",`, `:3,`, `:"3",`).Replace(want) {
			t.Errorf("%s: %d %s", link, got.StatusCode, got.text)
		}
		asked := a.asked()
		if len(asked) != 3 {
			t.Errorf("%s: %d requests", link, len(asked))
		}
		for _, request := range asked {
			if h := request.Header; h.Get("X-Token") != "t0ken" || h.Get("X-User-Id") != "alice" || h.Get("Cookie") != "session=1" || h.Get("Referer") != "" {
				t.Errorf("%s: header %v", request.URL, h)
			}
		}
		// what is found is not looked for further
		e.do("alice", "POST", "/subscriptions", project(2, "target_url", fmt.Sprintf("https://h/%d", len(link)))).is(t, 201, "")
		if requests := len(a.asked()); requests != 2 {
			t.Errorf("%s: the second page was found with %d requests", link, requests)
		}
		e.exec("DELETE FROM connector_subscriptions")
	}
}

// A link that does not lead to a next page of the same app makes the list
// invalid: part of one would be wrong, and another host gets no credentials.
func TestLookupRefusesPages(t *testing.T) {
	other := newApp(t, says("[]"))
	a := newApp(t, nil)
	e := start(t, with("from "+a.URL+"/v1/projects"))
	host := strings.TrimPrefix(a.URL, "http://")
	for name, link := range map[string]string{
		"another host":         "<" + other.URL + "/v1/projects?page=%d>; rel=next",
		"another host, scheme": "<//" + strings.TrimPrefix(other.URL, "http://") + "/v1/projects?page=%d>; rel=next",
		"another name":         "<" + strings.Replace(a.URL, "127.0.0.1", "localhost", 1) + "/v1/projects?page=%d>; rel=next",
		"another port":         "<http://127.0.0.1/v1/projects?page=%d>; rel=next",
		"another scheme":       "<https://" + host + "/v1/projects?page=%d>; rel=next",
		"no host":              "<http:///v1/projects?page=%d>; rel=next",
		"user":                 "<http://user@" + host + "/v1/projects?page=%d>; rel=next",
		"opaque":               "<http:projects?page=%d>; rel=next",
		"script":               "<javascript:alert(%d)>; rel=next",
		"not a URL":            "<http://%%zz/%d>; rel=next",
		"too long":             "<?page=%d&x=" + strings.Repeat("x", maxLookupLink) + ">; rel=next",
		"itself":               "</v1/projects#%d>; rel=next",
	} {
		a.answers(pages(5, link))
		got := e.do("alice", "GET", "/resources/project", "")
		if got.StatusCode != 502 || got.body["code"] != "resources_invalid" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
		}
		if n := len(a.asked()); n > 2 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
	if asked := other.asked(); len(asked) > 0 {
		t.Errorf("another host was asked: %v", asked)
	}
}

// All pages together are bounded.
func TestLookupBounds(t *testing.T) {
	a := newApp(t, nil)
	e := start(t, with("from "+a.URL))
	for _, test := range []struct {
		answer   http.HandlerFunc
		status   int
		requests int
	}{
		{pages(maxLookupPages, "<?page=%d>; rel=next"), 200, maxLookupPages},
		{pages(maxLookupPages+1, "<?page=%d>; rel=next"), 502, maxLookupPages},
		{func(w http.ResponseWriter, r *http.Request) { // 3 MiB each
			pages(100, "<?page=%d>; rel=next")(w, r)
			_, _ = w.Write([]byte(strings.Repeat(" ", 3<<20)))
		}, 502, 6},
		{func(w http.ResponseWriter, r *http.Request) {
			page := httptest.NewRecorder()
			pages(100, "<?page=%d>; rel=next")(page, r)
			w.Header()["Link"] = page.Header()["Link"]
			n, _ := strconv.Atoi(r.URL.Query().Get("page"))
			_, _ = fmt.Fprintf(w, "[%s]", many(n*40_000, 40_000))
		}, 502, 3},
	} {
		a.answers(test.answer)
		got := e.do("alice", "GET", "/resources/project?q=nothing", "")
		if requests := len(a.asked()); got.StatusCode != test.status || requests != test.requests {
			t.Errorf("%d %s after %d requests, want %d after %d", got.StatusCode, got.text, requests, test.status, test.requests)
		}
	}
}
