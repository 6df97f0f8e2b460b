package proxyauth

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestUnmarshalSigned(t *testing.T) {
	for block, wantErr := range map[string]string{
		"signed":                       "",
		"user_header X-User\nsigned":   "",
		"signed\nsigned":               "duplicate subdirective 'signed'",
		"signed on":                    "wrong argument count",
		"signed {\nx\n}":               "'signed' takes no block",
		"user_header Signature":        "a meaning of its own",
		"secret_header Content-Digest": "a meaning of its own",
	} {
		p := new(Provider)
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("proxy_secret {env.A} {\n" + block + "\n}"))
		if wantErr == "" {
			if err != nil || !p.Signed {
				t.Errorf("%q: %v %v", block, p.Signed, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %v", block, err)
		}
	}
	p := new(Provider)
	if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("proxy_secret {env.A}")); err != nil || p.Signed {
		t.Errorf("by default: %v %v", p.Signed, err)
	}
}
