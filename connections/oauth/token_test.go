package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// reply is what a server answers with, whatever it is asked.
type reply struct {
	status int
	kind   string // content type
	body   string
	header http.Header
}

// serve starts a server with one answer, and keeps what it is asked.
func serve(t testing.TB, answer *reply) (endpoint string, asked func() (*http.Request, url.Values)) {
	t.Helper()
	var last *http.Request
	var form url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last, form = r, nil
		form, _ = url.ParseQuery(string(body))
		for name, values := range answer.header {
			w.Header()[name] = values
		}
		w.Header()["Content-Type"] = []string{answer.kind}
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() (*http.Request, url.Values) { return last, form }
}

func serving(t testing.TB, answer *reply, change func(*Config)) (*Client, func() (*http.Request, url.Values)) {
	endpoint, asked := serve(t, answer)
	return newClient(t, func(c *Config) {
		c.TokenURL, c.RevokeURL = endpoint+"/token", endpoint+"/revoke"
		if change != nil {
			change(c)
		}
	}), asked
}

const jsonType = "application/json;charset=UTF-8"

var (
	oldToken = credential.Token{Access: credential.SecretOf("old-access"), Refresh: credential.SecretOf("old-refresh"), Scope: "old-scope"}
	password = credential.SecretOf("pass word")
)

// What is sent, for each grant and in each way to authenticate.
func TestRequests(t *testing.T) {
	answer := &reply{200, jsonType, `{"access_token":"a","token_type":"Bearer"}`, nil}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("id%3A1:s3cr3t%26of%3Dthe%2Bclient%25"))
	machine := func(c *Config) { c.Grant, c.AuthorizeURL = ClientCredentials, "" }
	exchange := func(ctx context.Context, c *Client) (credential.Token, error) {
		return c.Exchange(ctx, CodeExchange{Code: credential.SecretOf("c&1"), Verifier: credential.SecretOf("v"), RedirectURI: "https://e/cb"})
	}
	for _, tc := range []struct {
		change func(*Config)
		call   func(context.Context, *Client) (credential.Token, error)
		want   string
	}{
		{nil, exchange, "code=c%261&code_verifier=v&grant_type=authorization_code&redirect_uri=https%3A%2F%2Fe%2Fcb"},
		{nil, func(ctx context.Context, c *Client) (credential.Token, error) { return c.Refresh(ctx, oldToken) }, "grant_type=refresh_token&refresh_token=old-refresh"},
		{machine, func(ctx context.Context, c *Client) (credential.Token, error) { return c.ClientCredentials(ctx) }, "grant_type=client_credentials&scope=read+write%3Aall"},
		{func(c *Config) { c.Grant, c.AuthorizeURL = Password, "" }, func(ctx context.Context, c *Client) (credential.Token, error) {
			return c.Password(ctx, credential.SecretOf("alice"), password)
		}, "grant_type=password&password=pass+word&scope=read+write%3Aall&username=alice"},
	} {
		for style, change := range map[string]func(*Config){
			"header": func(*Config) {},
			"body":   func(c *Config) { c.AuthStyle = AuthBody },
			"public": func(c *Config) { c.ClientSecret = credential.Secret{} },
		} {
			if style == "public" && strings.Contains(tc.want, "client_credentials") {
				continue
			}
			client, asked := serving(t, answer, func(c *Config) {
				c.ClientID, c.TokenParams = "id:1", url.Values{"audience": {"x"}}
				if tc.change != nil {
					tc.change(c)
				}
				change(c)
			})
			if _, err := tc.call(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			r, form := asked()
			want, _ := url.ParseQuery(tc.want + "&audience=x")
			switch style {
			case "body":
				want.Set("client_secret", clientSecret)
				fallthrough
			case "public":
				want.Set("client_id", "id:1")
			}
			if form.Encode() != want.Encode() || (r.Header.Get("Authorization") == basic) != (style == "header") || len(r.Header["Authorization"]) > 1 {
				t.Errorf("%s: %s %s, want %s", style, form.Encode(), r.Header, want.Encode())
			}
			if r.Method != "POST" || r.URL.String() != "/token" || r.Header.Get("Accept") != "application/json" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("%s %s %s", r.Method, r.URL, r.Header)
			}
		}
	}
	client, _ := serving(t, answer, nil)
	var none *Error
	if _, err := client.Refresh(t.Context(), credential.Token{Access: password}); !errors.As(err, &none) || none.Kind != Reauth {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	unknown := `{"error":"invalid_token"}`
	for _, tc := range []struct {
		answer reply
		want   Kind
	}{
		{reply{200, "", "", nil}, 0},
		{reply{200, "text/html", "<p>ok", nil}, 0},
		{reply{200, jsonType, `{"ok":false,"error":"fatal_error"}`, nil}, Transient},
		{reply{204, "", "", nil}, 0},
		{reply{400, jsonType, unknown, nil}, 0},
		{reply{400, jsonType, `{"error":"unsupported_token_type"}`, nil}, Misconfigured},
		{reply{401, jsonType, `{"error":"invalid_client"}`, nil}, Misconfigured},
		{reply{404, "text/html", "", nil}, Broken},
		{reply{302, "text/html", "", http.Header{"Location": {"/"}}}, Broken},
		{reply{503, jsonType, unknown, http.Header{"Retry-After": {"7"}}}, Transient},
	} {
		client, asked := serving(t, &tc.answer, nil)
		err := client.Revoke(t.Context(), oldToken)
		var refused *Error
		if (err == nil) != (tc.want == 0) || err != nil && (!errors.As(err, &refused) || refused.Kind != tc.want) {
			t.Errorf("%+v: %v", tc.answer, err)
		}
		if tc.answer.status == 503 && refused.RetryAfter != 7*time.Second {
			t.Error(refused.RetryAfter)
		}
		if r, form := asked(); form.Encode() != "token=old-refresh&token_type_hint=refresh_token" || r.URL.Path != "/revoke" || r.Header.Get("Authorization") == "" {
			t.Errorf("%s %s", r.URL, form.Encode())
		}
	}
	client, asked := serving(t, &reply{status: 200}, nil)
	if err := client.Revoke(t.Context(), credential.Token{Access: credential.SecretOf("a")}); err != nil {
		t.Error(err)
	}
	if _, form := asked(); form.Encode() != "token=a&token_type_hint=access_token" {
		t.Error(form)
	}
	client, asked = serving(t, &reply{status: 500}, func(c *Config) { c.RevokeURL = "" })
	if r, _ := asked(); client.CanRevoke() || client.Revoke(t.Context(), oldToken) != nil || r != nil {
		t.Error("it is revoked where it can't be")
	}
}

// S23: the endpoint's redirect is not followed, with a transport or without one.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		other, asked := serve(t, &reply{200, jsonType, `{"access_token":"a","token_type":"bearer"}`, nil})
		client, _ := serving(t, &reply{status, jsonType, `{"access_token":"a","token_type":"bearer"}`, http.Header{"Location": {other}}}, nil)
		var refused *Error
		if _, err := client.Refresh(t.Context(), oldToken); !errors.As(err, &refused) || refused.Kind != Broken {
			t.Errorf("%d: %v", status, err)
		}
		if r, _ := asked(); r != nil {
			t.Errorf("%d is followed", status)
		}
	}
}

// Errors of the network have no address, and tell the end of a context.
func TestNetwork(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees the client go
		<-r.Context().Done()
	}))
	defer hangs.Close()
	stalls := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", jsonType)
		_, _ = io.WriteString(w, `{"access_token":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer stalls.Close()
	cuts := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cuts.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for endpoint, want := range map[string]error{hangs.URL: context.DeadlineExceeded, stalls.URL: context.DeadlineExceeded, cuts.URL: nil, gone.URL: nil} {
		client := newClient(t, func(c *Config) { c.TokenURL = endpoint })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if want != nil {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		_, err := client.Refresh(ctx, oldToken)
		cancel()
		var refused *Error
		if !errors.As(err, &refused) || refused.Kind != Transient || !errors.Is(err, want) && want != nil || strings.Contains(fmt.Sprintf("%v %+v", err, refused), "127.0.0.1") {
			t.Errorf("%s: %#v", endpoint, err)
		}
	}
}
