package proxyauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/secret"
)

func resolved(t *testing.T, plain string) secret.Value {
	t.Helper()
	value, err := secret.Resolve(caddy.NewReplacer(), plain)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestCheckHeaderName(t *testing.T) {
	for name, ok := range map[string]bool{
		DefaultSecretHeader: true, DefaultUserHeader: true, "X-Secret": true, "Authorization": true, "x": true,
		"": false, "a b": false, "a:b": false, "é": false, "blink_auth_userid": false, "a.b": false,
		"Host": false, "host": false, "CONTENT-LENGTH": false, "Transfer-Encoding": false, "Connection": false,
		"Cookie": false, "X-Forwarded-For": false, "Via": false, "te": false, "cdn-loop": false,
	} {
		if err := CheckHeaderName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := NewHeaders("X-Same", "x-same"); err == nil {
		t.Error("two headers share a name")
	}
	if _, err := NewHeaders("", DefaultSecretHeader); err == nil {
		t.Error("the user has the default secret's name")
	}
}

func TestCheckSecret(t *testing.T) {
	for plain, ok := range map[string]bool{
		"s": true, "with inner space": true, strings.Repeat("s", 4096): true, "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~": true,
		strings.Repeat("s", 4097): false, " s3cr3t": false, "s3cr3t ": false, "s3cr3t\t": false, "a\r\nb": false, "a\nb": false,
		"a\x00b": false, "a\x7fb": false,
	} {
		err := CheckSecret(resolved(t, plain))
		if (err == nil) != ok {
			t.Errorf("%.40q: %v", plain, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
	if CheckSecret(secret.Value{}) == nil {
		t.Error("no secret is a secret")
	}
}

// spelled returns the one value under exactly this name, which Get would not find.
func spelled(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

func TestWrite(t *testing.T) {
	headers, err := NewHeaders("", "")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Blink-Auth-Userid": {"a", "b"}, "BLINK_AUTH_PROXYSECRET": {"c"}, "X-Kept": {"d"}}
	headers.Write(h, resolved(t, "s3cr3t"), "alice")
	if len(h) != 3 || spelled(h, DefaultSecretHeader) != "s3cr3t" || spelled(h, DefaultUserHeader) != "alice" {
		t.Errorf("%v", h)
	}
	headers.Write(h, secret.Value{}, "bob")
	if len(h) != 2 || spelled(h, DefaultUserHeader) != "bob" {
		t.Errorf("without a secret: %v", h)
	}
}
