package connections

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestCaddyfileOfConnections(t *testing.T) {
	for name, test := range map[string]struct{ caddyfile, want string }{
		"least": {
			"connections {\napi a {\nbase_url https://a.example\nauth none\n}\n}",
			`{"apis":{"a":{"auth":[{"type":"none"}],"base_url":"https://a.example"}},"handler":"connections"}`,
		},
		"all": {
			`connections {
				prefix /x
				user {http.reverse_proxy.header.X-User}
				api_key org-1 {env.ORG_KEY}
				api_key org-2 {file./run/secrets/org 2}
				token_key https://platform.example/sk/key1 {file./run/secrets/key.pem}
				max_body 1KiB
				max_per_owner 7
				api zendesk {
					base_url https://{{subdomain}}.zendesk.com/{{region}}/v2
					variable subdomain {
						default acme
						pattern "[a-z]+"
						max_length 20
						overridable
					}
					variable region
					auth api_key header X-Api-Key
					auth api_key query key
					auth api_key cookie c
					auth basic
					test POST /ping?a=b
					allow_base_url sandbox.example sandbox.example:8443
					rate_limit 10
				}
				api bank {
					base_url https://bank.example:8443
					auth certificate
					auth hmac header X-Signature {
						inputs date digest path
						algorithm sha512
						encoding base64
						prefix sig=
						separator "\n"
						date_header X-Date
						date_format unix_ms
						digest_header X-Digest
					}
					test /ping
				}
			}`,
			`{"api_keys":[{"owner":"org-1","secret":"{env.ORG_KEY}"},{"owner":"org-2","secret":"{file./run/secrets/org 2}"}],` +
				`"apis":{"bank":{"auth":[{"type":"certificate"},{"hmac":{"algorithm":"sha512","date_format":"unix_ms","date_header":"X-Date",` +
				`"digest_header":"X-Digest","encoding":"base64","inputs":["date","digest","path"],"prefix":"sig=","separator":"\\n"},"in":"header",` +
				`"name":"X-Signature","type":"hmac"}],"base_url":"https://bank.example:8443","test":{"method":"GET","path":"/ping"}},` +
				`"zendesk":{"allow_base_url":["sandbox.example","sandbox.example:8443"],"auth":[{"in":"header","name":"X-Api-Key","type":"api_key"},` +
				`{"in":"query","name":"key","type":"api_key"},{"in":"cookie","name":"c","type":"api_key"},{"type":"basic"}],` +
				`"base_url":"https://{{subdomain}}.zendesk.com/{{region}}/v2","rate_limit":10,"test":{"method":"POST","path":"/ping?a=b"},` +
				`"variables":{"region":{},"subdomain":{"default":"acme","max_length":20,"overridable":true,"pattern":"[a-z]+"}}}},` +
				`"handler":"connections","max_body":1024,"max_per_owner":7,"prefix":"/x",` +
				`"token_keys":{"https://platform.example/sk/key1":{"public_key":"{file./run/secrets/key.pem}"}},"user":"{http.reverse_proxy.header.X-User}"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(":80 {\n" + strings.ReplaceAll(test.caddyfile, "{file./run/secrets/org 2}", `"{file./run/secrets/org 2}"`) + "\n}\n")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(config), `"handle":[`+test.want+`]`) {
				t.Errorf("got %s\nwant %s", config, test.want)
			}
		})
	}
}

// Each error names what is wrong and where it is.
func TestCaddyfileErrorsOfConnections(t *testing.T) {
	const (
		api  = "api a {\nbase_url https://a.example\nauth none\n}"
		rest = "\n" + api + "\n}"
		in   = "connections {\napi a {\n" // lines 2 and 3
		base = "base_url https://a.example\n"
	)
	for _, test := range [][2]string{
		{"connections", "connections: 'api' is required, at Caddyfile:2"},
		{"connections {\n}", "'api' is required, at Caddyfile:2"},
		{"connections * x {" + rest, "wrong argument count"},
		{"connections {\nother" + rest, "unrecognized subdirective 'other', at Caddyfile:3"},
		{"connections {\nprefix x" + rest, "'x' is not a path that begins with a slash, without placeholders, at Caddyfile:3"},
		{"connections {\nprefix /{x}" + rest, "'/{x}' is not a path"},
		{"connections {\nprefix /a/../b" + rest, "'/a/../b' is not a path"},
		{"connections {\nprefix" + rest, "wrong argument count or unexpected line ending after 'prefix', at Caddyfile:3"},
		{"connections {\nprefix /a /b" + rest, "after '/b', at Caddyfile:3"},
		{"connections {\nprefix /a\nprefix /a" + rest, "duplicate subdirective 'prefix', at Caddyfile:4"},
		{"connections {\nuser" + rest, "after 'user', at Caddyfile:3"},
		{"connections {\nuser {a}\nuser {b}" + rest, "duplicate subdirective 'user', at Caddyfile:4"},
		{"connections {\nmax_body 0" + rest, "max_body '0' is not a size above zero, at Caddyfile:3"},
		{"connections {\nmax_body x" + rest, "max_body 'x' is not a size above zero, at Caddyfile:3"},
		{"connections {\nmax_body 1MB\nmax_body 1MB" + rest, "duplicate subdirective 'max_body', at Caddyfile:4"},
		{"connections {\nmax_per_owner -1" + rest, "max_per_owner '-1' is not a number above zero, at Caddyfile:3"},
		{"connections {\napi_key" + rest, "after 'api_key', at Caddyfile:3"},
		{"connections {\napi_key alice" + rest, "after 'alice', at Caddyfile:3"},
		{"connections {\napi_key alice s3cret more" + rest, "at Caddyfile:3"},
		{"connections {\napi_key \"al ice\" s3cret" + rest, "owner 'al ice' is not 1 to 255 visible ASCII characters, at Caddyfile:3"},
		{"connections {\napi_key alice \"\"" + rest, "the key is empty, at Caddyfile:3"},
		{"connections {\napi_key alice {env.K} {\nx\n}" + rest, "'api_key' takes no block, at Caddyfile:4"},
		{"connections {\ntoken_key i" + rest, "after 'i', at Caddyfile:3"},
		{"connections {\ntoken_key i {env.K}\ntoken_key i {env.L}" + rest, "duplicate token_key 'i', at Caddyfile:4"},
		{"connections {\ntoken_key \"\" {env.K}" + rest, "the issuer is empty, at Caddyfile:3"},
		{"connections {\ntoken_key i \"\"" + rest, "the public key is empty, at Caddyfile:3"},

		{"connections {\napi {\n" + base + "}\n}", "at Caddyfile:3"},
		{"connections {\napi a b {\n" + base + "}\n}", "at Caddyfile:3"},
		{"connections {\napi a.b {\n" + base + "}\n}", "'a.b' is not 1 to 64 letters, digits, '_' and '-', at Caddyfile:3"},
		{"connections {\napi " + strings.Repeat("a", 65) + " {\n}\n}", "is not 1 to 64 letters"},
		{"connections {\n" + api + "\n" + api + "\n}", "duplicate api 'a', at Caddyfile:7"},
		{in + "auth none\n}\n}", "api 'a': 'base_url' is required, at Caddyfile:3"},
		{in + base + "}\n}", "api 'a': 'auth' is required, at Caddyfile:3"},
		{in + base + base + "auth none\n}\n}", "duplicate subdirective 'base_url', at Caddyfile:5"},
		{in + "base_url\nauth none\n}\n}", "after 'base_url', at Caddyfile:4"},
		{in + "base_url ftp://x\nauth none\n}\n}", "api 'a': base_url: "},
		{in + "base_url https://{{v}}\nauth none\n}\n}", "the variable v needs a pattern of its own"},
		{in + "base_url https://{{v}}.com\nauth none\n}\n}", "the variable v needs a pattern of its own"},
		{in + "base_url https://u:p@a.example\nauth none\n}\n}", "at Caddyfile:3"},
		{in + "base_url https://a.example?x\nauth none\n}\n}", "must not have a query, at Caddyfile:3"},
		{in + "base_url https://a.example/{{v\nauth none\n}\n}", "at Caddyfile:3"},
		{in + base + "auth none\nother\n}\n}", "unrecognized subdirective 'other', at Caddyfile:6"},
		{in + base + "auth none\nvariable v\n}\n}", `api 'a': base_url: variable "v" is not in the URL, at Caddyfile:3`},
		{in + base + "variable\n}\n}", "after 'variable', at Caddyfile:5"},
		{in + base + "variable \"a b\"\n}\n}", "'a b' is not the name of a variable, at Caddyfile:5"},
		{in + base + "variable v\nvariable v\n}\n}", "duplicate variable 'v', at Caddyfile:6"},
		{in + base + "variable v {\nother\n}\n}\n}", "unrecognized subdirective 'other', at Caddyfile:6"},
		{in + base + "variable v {\nmax_length x\n}\n}\n}", "max_length 'x' is not a number above zero, at Caddyfile:6"},
		{in + base + "variable v {\noverridable\noverridable\n}\n}\n}", "duplicate subdirective 'overridable', at Caddyfile:7"},
		{in + "base_url https://a.example/{{v}}\nauth none\nvariable v {\npattern (\n}\n}\n}", "pattern"},
		{in + base + "auth\n}\n}", "after 'auth', at Caddyfile:5"},
		{in + base + "auth digest\n}\n}", "'digest' is not none, api_key, basic, bearer, oauth2, hmac or certificate, at Caddyfile:5"},
		{in + base + "auth basic x\n}\n}", "at Caddyfile:5"},
		{in + base + "auth none {\nx\n}\n}\n}", "'auth' takes no block, at Caddyfile:6"},
		{in + base + "auth api_key\n}\n}", "after 'api_key', at Caddyfile:5"},
		{in + base + "auth api_key header\n}\n}", "at Caddyfile:5"},
		{in + base + "auth api_key header a b\n}\n}", "at Caddyfile:5"},
		{in + base + "auth api_key body a\n}\n}", `a credential stands in a header, query or cookie, not in "body", at Caddyfile:3`},
		{in + base + "auth api_key header Host\n}\n}", `header "Host" has a meaning of its own, at Caddyfile:3`},
		{in + base + "auth bearer\nauth basic\n}\n}", "the header Authorization is claimed twice, at Caddyfile:3"},
		{in + base + "auth hmac header X-A\n}\n}", "nothing is signed"},
		{in + base + "auth hmac {\ninputs body\n}\n}\n}", "at Caddyfile:5"},
		{in + base + "auth hmac header X-A {\ninputs\n}\n}\n}", "after 'inputs', at Caddyfile:6"},
		{in + base + "auth hmac header X-A {\ninputs a\n}\n}\n}", `input "a" is none of`},
		{in + base + "auth hmac header X-A {\ninputs body\ninputs path\n}\n}\n}", "duplicate subdirective 'inputs', at Caddyfile:7"},
		{in + base + "auth hmac header X-A {\ninputs body\nalgorithm md5\n}\n}\n}", `algorithm "md5" is not sha1, sha256 or sha512`},
		{in + base + "auth hmac header X-A {\nother\n}\n}\n}", "unrecognized subdirective 'other', at Caddyfile:6"},
		{in + base + "auth none\ntest\n}\n}", "after 'test', at Caddyfile:6"},
		{in + base + "auth none\ntest HEAD /x\n}\n}", "'HEAD' is not a method that is forwarded, at Caddyfile:6"},
		{in + base + "auth none\ntest x\n}\n}", "'x' is not a path that begins with a slash, at Caddyfile:6"},
		{in + base + "auth none\ntest /a/../b\n}\n}", "'/a/../b' is not a path"},
		{in + base + "auth none\ntest /a\ntest /a\n}\n}", "duplicate subdirective 'test', at Caddyfile:7"},
		{in + base + "auth none\ntest GET /a b\n}\n}", "at Caddyfile:6"},
		{in + base + "auth none\nallow_base_url\n}\n}", "after 'allow_base_url', at Caddyfile:6"},
		{in + base + "auth none\nallow_base_url https://x\n}\n}", `"https://x" is not a host, with or without a port, at Caddyfile:3`},
		{in + base + "auth none\nallow_base_url a.example a.example\n}\n}", `host "a.example" is allowed twice, at Caddyfile:3`},
		{in + base + "auth none\nallow_base_url a.example\nallow_base_url b.example\n}\n}", "duplicate subdirective 'allow_base_url', at Caddyfile:7"},
		{in + base + "auth none\nrate_limit 0\n}\n}", "rate_limit '0' is not a number above zero, at Caddyfile:6"},
	} {
		_, err := adapt(":80 {\n" + test[0] + "\n}\n")
		if err == nil || !strings.Contains(err.Error(), test[1]) {
			t.Errorf("%s\n%v\nwant %s", test[0], err, test[1])
			continue
		}
		if !strings.Contains(err.Error(), "Caddyfile:") || strings.Contains(err.Error(), "s3cret") && !strings.Contains(test[0], "more") {
			t.Errorf("%s: %v", test[0], err)
		}
	}
}

// validated does with a handler's JSON what `caddy validate` does, which
// touches nothing.
func validated(t *testing.T, handler string) error {
	t.Helper()
	dir := t.TempDir()
	config := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"storage":{"module":"file_system","root":"`+dir+`"},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},`+
		`"apps":{"connector":{"database":{"path":"`+dir+`/connector.db"}},"http":{"servers":{"a":{"listen":["127.0.0.1:0"],"routes":[{"handle":[`+handler+`]}]}}}}}`), config); err != nil {
		t.Fatal(err)
	}
	err := caddy.Validate(config)
	files, _ := filepath.Glob(dir + "/connector*")
	if len(files) > 0 {
		t.Errorf("validating made %v", files)
	}
	return err
}

// The same, and more, where a config is written in JSON.
func TestJSONOfConnections(t *testing.T) {
	const key = "0123456789abcdef"
	t.Setenv("SHORT_KEY", "s3cret")
	file := newIssuer(t).file
	api := func(members string) string { return `"apis":{"a":{` + members + `}}` }
	good := api(`"base_url":"https://a.example","auth":[{"type":"none"}]`)
	for members, want := range map[string]string{
		good: "",
		good + `,"api_keys":[{"owner":"o","secret":"` + key + `"}],"token_keys":{"i":{"public_key":"{file.` + file + `}"}}`: "",
		``:                                    "at least one api is required",
		`"apis":{"a":null}`:                   "api a: base_url is required",
		`"apis":{"a b":{}}`:                   "is not 1 to 64 letters",
		api(``):                               "api a: base_url: ",
		api(`"base_url":"https://a.example"`): "auth is required",
		api(`"base_url":"https://a.example","auth":[null]`):                                         "auth 1 is null",
		api(`"base_url":"https://a.example","auth":[{"type":"none","in":"header"}]`):                "it has no place of its own",
		api(`"base_url":"https://a.example","auth":[{"type":"none","hmac":{"inputs":["body"]}}]`):   "hmac is for the scheme of that type",
		api(`"base_url":"https://a.example","auth":[{"type":"hmac","in":"header","name":"X-A"}]`):   "hmac is for the scheme of that type",
		api(`"base_url":"https://a.example/{{v}}","variables":{"v":null},"auth":[{"type":"none"}]`): "",
		api(`"base_url":"https://a.example","auth":[{"type":"none"}],"rate_limit":-1`):              "rate_limit is negative",
		api(`"base_url":"https://a.example","auth":[{"type":"none"}],"test":{"path":"x"}`):          "test: 'x' is not a path",
		api(`"base_url":"https://a.example","auth":[{"type":"none"}],"other":1`):                    "other",
		good + `,"prefix":"x"`:                                            "prefix: 'x' is not a path",
		good + `,"max_body":-1`:                                           "max_body is negative",
		good + `,"max_per_owner":-1`:                                      "max_per_owner is negative",
		good + `,"user":"alice"`:                                          "is not a placeholder",
		good + `,"api_keys":[null]`:                                       "api_key 1 is null",
		good + `,"api_keys":[{"owner":"o","secret":""}]`:                  "api_key 1: empty secret",
		good + `,"api_keys":[{"owner":"o","secret":"s3cret"}]`:            "api_key 1: the secret is not 16 to 255 visible ASCII characters",
		good + `,"api_keys":[{"owner":"o","secret":"{env.SHORT_KEY}"}]`:   "api_key 1: the secret is not 16 to 255",
		good + `,"api_keys":[{"owner":"o","secret":"{env.NO_SUCH_KEY}"}]`: "{env.NO_SUCH_KEY}",
		good + `,"api_keys":[{"owner":"","secret":"` + key + `"}]`:        "api_key 1: the owner is not 1 to 255",
		good + `,"api_keys":[{"owner":"o","secret":"` + key + `"},{"owner":"p","secret":"` + key + `"}]`: "api_key 2: another one has the same secret",
		good + `,"token_keys":{"i":null}`:                                "token_key i: public_key is required",
		good + `,"token_keys":{"i":{"public_key":"s3cret"}}`:             "token_key i: public_key is not an RSA public key in PEM",
		good + `,"token_keys":{"":{"public_key":"{file.` + file + `}"}}`: "the issuer is empty",
	} {
		handler := `{"handler":"connections"`
		if members != "" {
			handler += "," + members
		}
		err := validated(t, handler+"}")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", members, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), key)):
			t.Errorf("%s: %v, want %s", members, err, want)
		}
	}
}
