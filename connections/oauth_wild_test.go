package connections

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/leaktest"
)

// wild is an authorization server, and an API, that tell what they were asked
// with wherever they can. What they hand out is planted.
type wild struct {
	url string

	mu      sync.Mutex
	secrets leaktest.Scanner
	asked   strings.Builder
	issued  int
	waiting int // requests to who hangs
}

func newWild(t *testing.T) *wild {
	w := &wild{}
	w.url = rawAPI(t, w.answer)
	return w
}

// plant returns a secret that is looked for from now on, with the characters that
// encodings differ about.
func (w *wild) plant(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issued++
	secret := fmt.Sprintf(`pl4%03[2]d/%[1]s+=~<%%41&"\>?%03[2]d`, strings.ReplaceAll(name, " ", "-"), w.issued)
	w.secrets.Add(fmt.Sprint(name, " ", w.issued), secret)
	return secret
}

// plantWord returns a secret that an error's code could be.
func (w *wild) plantWord(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issued++
	secret := strings.ReplaceAll(name, " ", "_") + "_"
	for n := w.issued; n > 0; n /= 26 {
		secret += string(rune('a' + n%26))
	}
	secret += "_planted"
	w.secrets.Add(fmt.Sprint(name, " ", w.issued), secret)
	return secret
}

// know has a secret looked for that the edge has made.
func (w *wild) know(t *testing.T, name, secret string) string {
	t.Helper()
	if len(secret) < 16 {
		t.Fatalf("there is no %s: %q", name, secret)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets.Add(name, secret)
	return secret
}

// sent returns what the edge has sent so far.
func (w *wild) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked.String()
}

func (w *wild) answer(conn net.Conn, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	said := strings.Join([]string{r.RequestURI, string(body), r.Header.Get("Authorization")}, " ")
	form, _ := url.ParseQuery(string(body))
	w.mu.Lock()
	if verifier := form.Get("code_verifier"); verifier != "" {
		w.secrets.Add("verifier "+r.URL.Path, verifier)
	}
	w.asked.WriteString(said + "\n")
	w.mu.Unlock()
	_, mode, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if mode == "hangs" {
		w.hang(conn)
		return
	}
	tell, ok := wildAnswers[mode]
	switch {
	case !ok:
		fmt.Fprint(conn, answered("404 Not Found", "", said))
	case r.URL.Path == "/token/good":
		w.grant(conn)
	default:
		// what is sent encoded is told decoded, too
		for _, name := range []string{"client_secret", "password", "code_verifier", "token", "code", "refresh_token"} {
			if form.Has(name) {
				said += " " + form.Get(name)
			}
		}
		_, _ = io.WriteString(conn, tell(said, w))
	}
}

// hang waits until the edge has had enough.
func (w *wild) hang(conn net.Conn) {
	w.mu.Lock()
	w.waiting++
	w.mu.Unlock()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = conn.Read(make([]byte, 1))
}

func (w *wild) hanging() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// tokens are an answer's members, with one that is not a bearer token's.
func (w *wild) tokens(tokenType string) string {
	return toJSON(jsonObject{
		"access_token": w.plant("access token"), "refresh_token": w.plant("refresh token"), "id_token": w.plant("id token"),
		"token_type": tokenType, "expires_in": 3600, "scope": "read",
	})
}

func (w *wild) grant(conn net.Conn) {
	fmt.Fprint(conn, answered("200 OK", "Content-Type: application/json\r\n", w.tokens("Bearer")))
}

func answered(status, header, body string) string {
	return "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + header + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// wildAnswers are those of a token, a revocation and an API's endpoint, by what
// they do with what was said.
var wildAnswers = map[string]func(said string, w *wild) string{
	"good": func(said string, _ *wild) string { return answered("200 OK", echoed(said), said) },
	"revoked": func(said string, _ *wild) string {
		return answered("400 Bad Request", "Content-Type: application/json\r\n"+echoed(said), refusedWith("invalid_grant", said))
	},
	"stranger": func(said string, _ *wild) string {
		return answered("401 Unauthorized", "Content-Type: application/json\r\n"+echoed(said), refusedWith("invalid_client", said))
	},
	"code": func(said string, _ *wild) string {
		return answered("400 Bad Request", "Content-Type: application/json\r\n"+echoed(said), refusedWith(said, said))
	},
	"word": func(said string, _ *wild) string { // the last thing that was said
		word := said[strings.LastIndexByte(said, ' ')+1:]
		return answered("403 Forbidden", "Content-Type: application/json\r\n"+echoed(said), refusedWith(word, word))
	},
	"failing": func(said string, _ *wild) string { return answered("500 "+said, echoed(said), said) },
	"page": func(said string, _ *wild) string {
		return answered("200 OK", "Content-Type: text/html\r\n"+echoed(said), said)
	},
	"garbage": func(said string, _ *wild) string {
		return answered("200 OK", "Content-Type: application/json\r\n", said)
	},
	"type": func(said string, _ *wild) string { return answered("200 OK", "Content-Type: "+said+"\r\n", "{}") },
	"redirect": func(said string, _ *wild) string {
		return answered("307 Moved", "Location: /token/good?"+said+"\r\n", "")
	},
	"huge": func(said string, w *wild) string {
		return answered("200 OK", "Content-Type: application/json\r\n", strings.TrimSuffix(w.tokens("Bearer"), "}")+`,"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	},
	"other": func(said string, w *wild) string {
		return answered("200 OK", "Content-Type: application/json\r\n", w.tokens(said))
	},
	"break": func(_ string, w *wild) string {
		return answered("200 OK", "Content-Type: application/json\r\n", strings.Replace(w.tokens("Bearer"), "pl4", `pl\r\n4`, 1))
	},
	"status": func(said string, _ *wild) string { return "HTTP/1.1 " + said + "\r\n\r\n" },
	"proto":  func(said string, _ *wild) string { return said + "\r\n\r\n" },
	"field": func(said string, _ *wild) string {
		return "HTTP/1.1 200 OK\r\n" + strings.ReplaceAll(said, ":", "") + "\r\n\r\n"
	},
	"length":  func(said string, _ *wild) string { return "HTTP/1.1 200 OK\r\nContent-Length: " + said + "\r\n\r\n" },
	"coding":  func(said string, _ *wild) string { return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + said + "\r\n\r\n" },
	"chunk":   func(said string, _ *wild) string { return chunkedOK + said + "\r\n" },
	"trailer": func(said string, _ *wild) string { return chunkedOK + "2\r\n{}\r\n0\r\nX-Echo: " + said + "\r\n\r\n" },
	"broken": func(said string, _ *wild) string {
		return chunkedOK + "0\r\n" + strings.ReplaceAll(said, ":", "") + "\r\n\r\n"
	},
	"early": func(said string, _ *wild) string {
		return "HTTP/1.1 103 Early Hints\r\n" + echoed(said) + "\r\n" + answered("200 OK", "", "")
	},
	"switch": func(said string, _ *wild) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + said + "\r\n\r\n"
	},
	"silent": func(string, *wild) string { return "" },
}

const chunkedOK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

// echoed is a header with what was said, as an API would write it, and encoded.
func echoed(said string) string {
	token := said[strings.LastIndexByte(said, ' ')+1:]
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	small := strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3D", "%3d", "%3C", "%3c", "%5C", "%5c", "%3F", "%3f", "%3E", "%3e")
	return "X-Echo: " + said + "\r\nWWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"" + said + "\"\r\nRetry-After: " + said + "\r\nEtag: W/\"" + said + "\"\r\n" +
		"Location: https://elsewhere.example/?a=" + url.QueryEscape(token) + "&next=" + url.QueryEscape("/?t="+url.QueryEscape(token)) + "\r\n" +
		"X-Encoded: " + encode("Bearer "+token) + ", " + encode("x"+token) + "\r\nSet-Cookie: a=" + url.PathEscape(said) + "\r\nX-Small: " + small.Replace(url.QueryEscape(token)) + "\r\n"
}

func refusedWith(code, said string) string {
	return toJSON(jsonObject{"error": code, "error_description": said, "error_uri": said, "scope": said})
}

// modes are those that a token endpoint has, sorted.
func modes() []string {
	var names []string
	for name := range wildAnswers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
