package integration

import (
	"fmt"
	"strings"
	"testing"
)

// behindProxySecret is a site that answers what reaches it behind the check.
func behindProxySecret(subdirectives string) string {
	return fmt.Sprintf(`EDGE {
	proxy_secret {env.NEW_SECRET} {env.OLD_SECRET} {
		%s
	}
	respond "user={http.auth.user.id} secret=[{header.blink-auth-proxysecret}{header.x-secret}] header=[{header.blink-auth-userid}{header.x-user}]"
}`, subdirectives)
}

// B12, S5, S9, S10: fail closed, single value, stripped before the next
// handler, two secrets.
func TestProxySecret(t *testing.T) {
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	t.Setenv("OLD_SECRET", "old-s3cr3t")
	const (
		newSecret = "blink-auth-proxysecret: new-s3cr3t"
		oldSecret = "blink-auth-proxysecret: old-s3cr3t"
		user      = "blink-auth-userid: u-1234"
	)
	s := start(t, "", "")
	s.load(fmt.Sprintf(logFilter, s.log), behindProxySecret(""))
	for _, header := range [][]string{
		{newSecret, user}, {oldSecret, user}, {user, newSecret},
		{"BLINK-AUTH-PROXYSECRET: new-s3cr3t", "Blink-Auth-UserID: u-1234"},
	} {
		got := s.get("/", header...)
		if want := "user=u-1234 secret=[] header=[u-1234]"; got.StatusCode != 200 || got.body != want {
			t.Errorf("%q: %d %q, want %q", header, got.StatusCode, got.body, want)
		}
	}
	for what, header := range map[string][]string{
		"nothing":              {},
		"no secret":            {user},
		"no user":              {newSecret},
		"empty secret":         {"blink-auth-proxysecret:", user},
		"wrong secret":         {"blink-auth-proxysecret: wrong", user},
		"prefix of it":         {"blink-auth-proxysecret: new-s3cr3", user},
		"longer":               {newSecret + "t", user},
		"other case":           {"blink-auth-proxysecret: NEW-s3cr3t", user},
		"both in one":          {"blink-auth-proxysecret: new-s3cr3t, old-s3cr3t", user},
		"secret twice":         {newSecret, newSecret, user},
		"two secrets":          {newSecret, oldSecret, user},
		"secret and empty":     {newSecret, "blink-auth-proxysecret:", user},
		"user twice":           {newSecret, user, user},
		"two users":            {newSecret, user, "blink-auth-userid: u-1"},
		"user and empty":       {newSecret, user, "blink-auth-userid:"},
		"empty user":           {newSecret, "blink-auth-userid:"},
		"user with space":      {newSecret, "blink-auth-userid: u 1"},
		"users in one":         {newSecret, "blink-auth-userid: u 1, u 2"},
		"user not ASCII":       {newSecret, "blink-auth-userid: \xc3\xa9"},
		"user too long":        {newSecret, "blink-auth-userid: " + strings.Repeat("u", 256)},
		"secret of the config": {"blink-auth-proxysecret: {env.NEW_SECRET}", user},
		"as bearer":            {"Authorization: Bearer new-s3cr3t", user},
	} {
		got := s.get("/", header...)
		if got.StatusCode != 401 || got.Header.Get("WWW-Authenticate") != `Proxy-Secret realm="edge"` {
			t.Errorf("%s: %d %v", what, got.StatusCode, got.Header)
		}
	}
	// S7: a trailer is no header
	got := s.raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: Blink-Auth-Proxysecret, Blink-Auth-Userid\r\n" +
		"Transfer-Encoding: chunked\r\n\r\n0\r\n" + newSecret + "\r\n" + user + "\r\n\r\n")
	if got.StatusCode != 401 {
		t.Errorf("in trailers: %d", got.StatusCode)
	}
	logs := s.logs()
	wantNoSecret(t, "the log", logs, "new-s3cr3t")
	wantNoSecret(t, "the log", logs, "old-s3cr3t")
	if !strings.Contains(logs, `"result":"bad_secret","fingerprint":"`) {
		t.Errorf("no fingerprint in the log: %s", logs)
	}
}

// Another spelling is no proof, with Caddy's own filter of such names and
// without it.
func TestProxySecretWithAliases(t *testing.T) {
	const filterOff = `servers {
		expected_underscore_headers x_none blink_auth_userid
		expected_dot_headers x.none blink.auth.proxysecret
	}`
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	t.Setenv("OLD_SECRET", "old-s3cr3t")
	for _, options := range []string{"", filterOff} {
		s := start(t, options, behindProxySecret(""))
		for _, header := range [][]string{
			{"blink_auth_proxysecret: new-s3cr3t", "blink-auth-userid: u-1"},
			{"blink.auth.proxysecret: new-s3cr3t", "blink-auth-userid: u-1"},
			{"blink-auth-proxysecret: new-s3cr3t", "blink_auth_userid: u-1"},
			{"blink.auth.proxysecret: new-s3cr3t", "blink_auth_userid: u-1"},
		} {
			if got := s.get("/", header...); got.StatusCode != 401 {
				t.Errorf("%q: %d %s", header, got.StatusCode, got.body)
			}
		}
	}
}

func TestProxySecretWithOtherHeaders(t *testing.T) {
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	t.Setenv("OLD_SECRET", "old-s3cr3t")
	s := start(t, "", behindProxySecret("secret_header X-Secret\n\t\tuser_header X-User"))
	got := s.get("/", "X-Secret: new-s3cr3t", "X-User: u-1")
	if want := "user=u-1 secret=[] header=[u-1]"; got.StatusCode != 200 || got.body != want {
		t.Errorf("%d %q, want %q", got.StatusCode, got.body, want)
	}
	if got := s.get("/", "blink-auth-proxysecret: new-s3cr3t", "blink-auth-userid: u-1"); got.StatusCode != 401 {
		t.Errorf("the default headers: %d", got.StatusCode)
	}
}

// S10: where another provider lets a request without proof pass, nothing of a
// proof is left in it, unless that provider was asked first.
func TestFailedProofIsStripped(t *testing.T) {
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	s := start(t, "", "")
	config, err := adapt(fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tstorage file_system %s\n}\nhttp://:%s {\n\tbind 127.0.0.1\n\t%s\n\trespond \"user={http.auth.user.id} header=[{header.blink-auth-userid}]\"\n}", storage, portOf(s.addr), accounts))
	if err != nil {
		t.Fatal(err)
	}
	both := strings.Replace(string(config), `"providers":{`, `"providers":{"proxy_secret":{"secrets":["{env.NEW_SECRET}"]},`, 1)
	s.loadJSON(both)
	for range 8 { // providers are asked in random order
		got := s.get("/", "Authorization: "+bobCredentials, "blink-auth-userid: alice", "blink-auth-proxysecret: wrong")
		stripped, unasked := "user=bob header=[]", "user=bob header=[alice]"
		if got.StatusCode != 200 || got.body != stripped && got.body != unasked {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
		got = s.get("/", "Authorization: none", "blink-auth-userid: alice", "blink-auth-proxysecret: new-s3cr3t")
		if want := "user=alice header=[alice]"; got.StatusCode != 200 || got.body != want {
			t.Errorf("%d %q, want %q", got.StatusCode, got.body, want)
		}
	}
}

// The whole way: an edge, an integration behind its own proxy_secret, rotation
// of the secret without a request lost.
func TestRotation(t *testing.T) {
	t.Setenv("NEW_SECRET", "new-s3cr3t")
	t.Setenv("OLD_SECRET", "old-s3cr3t")
	integration := freeAddr(t)
	s := start(t, "", "")
	sites := func(sent, accepted string) string {
		return fmt.Sprintf(`EDGE {
	%s
	connector {
		service sales http://%s/base %s
	}
}
http://:%s {
	proxy_secret %s
	respond "{http.auth.user.id} {http.request.orig_uri}"
}`, accounts, integration, sent, portOf(integration), accepted)
	}
	for i, step := range []struct{ sent, accepted string }{
		{"{env.OLD_SECRET}", "{env.OLD_SECRET}"},
		{"{env.OLD_SECRET}", "{env.NEW_SECRET} {env.OLD_SECRET}"},
		{"{env.NEW_SECRET}", "{env.NEW_SECRET} {env.OLD_SECRET}"},
		{"{env.NEW_SECRET}", "{env.NEW_SECRET}"},
	} {
		s.load("", sites(step.sent, step.accepted))
		got := s.get("/connector/sales/a%2Fb?c=d", "Authorization: "+bobCredentials)
		if want := "bob /base/a%2Fb?c=d"; got.StatusCode != 200 || got.body != want {
			t.Errorf("step %d: %d %q, want %q", i, got.StatusCode, got.body, want)
		}
	}
	s.load("", sites("{env.OLD_SECRET}", "{env.NEW_SECRET}"))
	if got := s.get("/connector/sales/x"); got.StatusCode != 401 {
		t.Errorf("the old secret after rotation: %d", got.StatusCode)
	}
}
