package datastore

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestParseRange(t *testing.T) {
	for text, want := range map[string]string{
		"10.20.0.0/16":           "10.20.0.0/16",
		"10.20.30.40/32":         "10.20.30.40/32",
		"10.20.30.40":            "10.20.30.40/32",
		"0.0.0.0/0":              "0.0.0.0/0",
		"0.0.0.0":                "0.0.0.0/32",
		"255.255.255.255":        "255.255.255.255/32",
		"fd00::/8":               "fd00::/8",
		"FD00:0::/8":             "fd00::/8",
		"fd12:3456:789a::1":      "fd12:3456:789a::1/128",
		"::1":                    "::1/128",
		"::/0":                   "::/0",
		"64:ff9b::192.0.2.0/120": "64:ff9b::c000:200/120",
	} {
		if got, err := parseRange(text); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"10.20.0.1/16": "allow '10.20.0.1/16' has bits beyond its length; '10.20.0.0/16' would be the range",
		"127.0.0.1/8":  "allow '127.0.0.1/8' has bits beyond its length; '127.0.0.0/8' would be the range",
		"10.21.0.0/15": "allow '10.21.0.0/15' has bits beyond its length; '10.20.0.0/15' would be the range",
		"0.0.0.1/0":    "allow '0.0.0.1/0' has bits beyond its length; '0.0.0.0/0' would be the range",
		"fd00::1/8":    "allow 'fd00::1/8' has bits beyond its length; 'fd00::/8' would be the range",
	} {
		if got, err := parseRange(text); err == nil || err.Error() != want {
			t.Errorf("%q: %s, %v; want the error %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "/", "/8", "10.20.0.0/", "10.20.0.0/33", "10.20.0.0/-1", "10.20.0.0/+8", "10.20.0.0/08", "10.20.0.0/8.",
		"10.20.0.0/255.255.0.0", "10.20.0.0/16/16", "10.20.0.0 /16", " 10.20.0.0/16", "10.20.0.0/16,10.30.0.0/16",
		"10.20/16", "10.20", "10", "010.20.0.0/16", "0x0a.20.0.0/16", "0x7f000001", "2130706433", "10.20.0.256", "10.20.0.1.",
		"10.20.0.1:443", "10.20.0.1-10.20.0.9", "10.20.0.*", "１０.20.0.1", "[::1]", "[::1]:443", "::1/129", "::g", ":::1/8",
		"fe80::1%eth0", "fe80::1%1", "fe80::%eth0/64", "fe80::1%", "localhost", "private_ranges", "all", "*", "{env.RANGE}",
		"https://10.20.0.0/16",
	} {
		want := "allow '" + text + "' is neither an address nor a range such as 10.20.0.0/16"
		if got, err := parseRange(text); err == nil || err.Error() != want {
			t.Errorf("%q: %s, %v; want the error %s", text, got, err, want)
		}
	}
}

// What is wrong is told with its line; what is right gives this JSON.
func TestUnmarshalCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"connector":                      `{}`,
		"connector {\n}":                 `{}`,
		"connector {\negress\n}":         `{}`,
		"connector {\negress {\n}\n}":    `{}`,
		egressWith("allow 10.20.0.0/16"): `{"egress":{"allow":["10.20.0.0/16"]}}`,
		egressWith("allow 10.20.0.0/16 10.30.0.1\nallow fd00::/8"):         `{"egress":{"allow":["10.20.0.0/16","10.30.0.1","fd00::/8"]}}`,
		egressWith("trust_pool file a.pem b.pem"):                          `{"egress":{"trust_pool":{"pem_files":["a.pem","b.pem"],"provider":"file"}}}`,
		egressWith("trust_pool file {\npem_file a.pem\n}\nallow 10.0.0.1"): `{"egress":{"allow":["10.0.0.1"],"trust_pool":{"pem_files":["a.pem"],"provider":"file"}}}`,
		egressWith("trust_pool inline {\ntrust_der Zm9v\n}"):               `{"egress":{"trust_pool":{"provider":"inline","trusted_ca_certs":["Zm9v"]}}}`,

		"connector on":                                     "wrong argument count or unexpected line ending after 'on', at Testfile:1",
		"connector {\nother\n}":                            "unrecognized subdirective 'other', at Testfile:2",
		"connector {\negress on\n}":                        "wrong argument count or unexpected line ending after 'on', at Testfile:2",
		"connector {\negress {\n}\negress\n}":              "duplicate subdirective 'egress', at Testfile:4",
		"connector {\nallow 10.0.0.1\n}":                   "unrecognized subdirective 'allow', at Testfile:2",
		egressWith("deny 10.0.0.1"):                        "unrecognized subdirective 'deny', at Testfile:3",
		egressWith("allow"):                                "wrong argument count or unexpected line ending after 'allow', at Testfile:3",
		egressWith("allow ::1\nallow"):                     "wrong argument count or unexpected line ending after 'allow', at Testfile:4",
		egressWith("allow ::1 localhost"):                  "allow 'localhost' is neither an address nor a range such as 10.20.0.0/16, at Testfile:3",
		egressWith("allow 10.20.0.1/16"):                   "'10.20.0.0/16' would be the range, at Testfile:3",
		egressWith("allow \"\""):                           "allow '' is neither an address nor a range such as 10.20.0.0/16, at Testfile:3",
		egressWith("allow ::1 {\nx\n}"):                    "'allow' takes no block, at Testfile:4",
		egressWith("trust_pool"):                           "wrong argument count or unexpected line ending after 'trust_pool', at Testfile:3",
		egressWith("trust_pool none"):                      "getting module named 'tls.ca_pool.source.none': module not registered: tls.ca_pool.source.none, at Testfile:3",
		egressWith("trust_pool file"):                      "no certificates specified, at Testfile:3",
		egressWith("trust_pool inline Zm9v"):               "wrong argument count",
		egressWith("trust_pool {\nfile\n}"):                "wrong argument count or unexpected line ending after 'trust_pool', at Testfile:3",
		egressWith("trust_pool file a {\nx\n}"):            "unrecognized directive: x",
		egressWith("trust_pool file a\ntrust_pool file a"): "duplicate subdirective 'trust_pool', at Testfile:4",
	} {
		app := new(App)
		err := app.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		if strings.HasPrefix(want, "{") {
			if got := string(caddyconfig.JSON(app, nil)); err != nil || got != want {
				t.Errorf("%q: %s, %v; want %s", input, got, err, want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with: %s", input, err, want)
		}
	}
}

// egressWith is the option with a block of these lines.
func egressWith(lines string) string { return "connector {\negress {\n" + lines + "\n}\n}" }
