package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// signedSites are an edge that signs, and the integration that verifies, with
// something between them that sees every byte.
func signedSites(t *testing.T, between, integration, subdirectives string) string {
	t.Helper()
	t.Setenv("SALES_SECRET", proxySecret+"-of-enough-characters-to-sign")
	return fmt.Sprintf(`EDGE {
	%s
	connector {
		%s
		service sales {
			proxy_url http://%s/base
			proxy_secret {env.SALES_SECRET}
			sign
		}
	}
}
http://:%s {
	uri strip_prefix /base
	proxy_secret {env.SALES_SECRET} {
		signed
	}
	respond "user={http.auth.user.id} uri={http.request.orig_uri} body={http.request.body} left=[{header.signature}{header.content-digest}]"
}`, accounts, subdirectives, between, portOf(integration))
}

// S8: in signed mode the secret never travels, and what was seen on the way
// cannot be used for anything else, nor again.
func TestSigned(t *testing.T) {
	integration := freeAddr(t)
	u := newUpstream(t, nil)
	s := start(t, "", "")
	s.load(fmt.Sprintf(logFilter, s.log), signedSites(t, strings.TrimPrefix(u.url, "http://"), integration, "max_body 2MiB"))

	// the relay passes on what it has recorded
	u.answer = func(_ *http.Request, conn net.Conn) {
		u.mu.Lock()
		recorded := u.requests[len(u.requests)-1]
		u.mu.Unlock()
		_, _ = io.WriteString(conn, relay(t, integration, recorded))
	}
	got := s.do("POST", "/connector/sales/a%2Fb?c=d", "hello", "Signature: forged=:AAAA:", "Content-Digest: sha-256=:AAAA:",
		"signature_input: forged", "blink-auth-userid: mallory")
	if want := "user=alice uri=/base/a%2Fb?c=d body=hello left=[]"; got.StatusCode != 200 || got.body != want {
		t.Fatalf("%d %q, want %q", got.StatusCode, got.body, want)
	}
	captured := u.one(t)
	wantNoSecret(t, "the wire", captured, proxySecret)
	if strings.Contains(captured, "forged") || strings.Contains(captured, "mallory") {
		t.Errorf("forged: %q", captured)
	}

	for what, tampered := range map[string]string{
		"again":          captured,
		"another method": strings.Replace(captured, "POST ", "PUT ", 1),
		"another path":   strings.Replace(captured, "/a%2Fb", "/a/b", 1),
		"another query":  strings.Replace(captured, "c=d", "c=e", 1),
		"another user":   strings.Replace(captured, "blink-auth-userid: alice", "blink-auth-userid: bob", 1),
		"another body":   strings.Replace(captured, "hello", "hullo", 1),
		"later":          strings.Replace(captured, ";created=1", ";created=2", 1),
		"another nonce":  strings.Replace(captured, `;nonce="`, `;nonce="A`, 1),
		"no signature":   strings.Replace(captured, "Signature: ", "X-Signature: ", 1),
		"with a secret":  strings.Replace(captured, "Signature: ", "blink-auth-proxysecret: "+proxySecret+"\r\nSignature: ", 1),
	} {
		if what != "again" && tampered == captured {
			t.Errorf("%s: nothing was changed in %q", what, captured)
		}
		if answer := relay(t, integration, tampered); !strings.HasPrefix(answer, "HTTP/1.1 401 ") {
			t.Errorf("%s: %q", what, answer)
		}
	}
	wantNoSecret(t, "the log", s.logs(), proxySecret)
	for _, result := range []string{"replayed", "bad_signature", "bad_digest", "unsigned", "expired"} {
		if !strings.Contains(s.logs(), `"result":"`+result+`"`) {
			t.Errorf("%s is not in the log", result)
		}
	}
}

// relay sends recorded bytes to an address and returns the answer's.
func relay(t *testing.T, addr, request string) string {
	t.Helper()
	return (&server{t: t, addr: addr}).wire(strings.Replace(request, "\r\n", "\r\nConnection: close\r\n", 1))
}

// Bodies of every form are signed; those above the limit are refused here, not
// there.
func TestSignedBodies(t *testing.T) {
	integration := freeAddr(t)
	s := start(t, "", "")
	s.load("", signedSites(t, integration, integration, "max_body 2MiB"))
	for _, body := range []string{"", "x", strings.Repeat("x", 100_000), strings.Repeat("x", 1<<20)} {
		for _, request := range []string{
			fmt.Sprintf("PUT /connector/sales HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
				aliceCredentials, len(body), body),
			fmt.Sprintf("PUT /connector/sales? HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\nConnection: close\r\n\r\n%s0\r\nX-A: b\r\n\r\n",
				aliceCredentials, chunk(body)),
		} {
			if got := s.raw(request); got.StatusCode != 200 || !strings.Contains(got.body, "body="+body+" ") {
				t.Errorf("%d bytes: %d %.200s", len(body), got.StatusCode, got.body)
			}
		}
	}
	over := strings.Repeat("x", 1<<20+1)
	s.do("POST", "/connector/sales", over).isProblem(t, 413, "body_too_large")
	s.raw(chunked(s, over)).isProblem(t, 413, "body_too_large")
	s.raw("POST /connector/sales HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "+aliceCredentials+
		"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a chunk\r\n").isProblem(t, 400, "body_incomplete")
}

func chunk(body string) string {
	if body == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
}

// A WebSocket's handshake is signed like any other GET.
func TestSignedWebSocket(t *testing.T) {
	integration := freeAddr(t)
	chat, tunnels := newChat(t, accepted)
	s := start(t, "", "")
	sites := signedSites(t, integration, integration, "")
	s.load("", sites[:strings.Index(sites, "\trespond ")]+"\treverse_proxy "+chat.url+"\n}")
	c := s.upgrade("/connector/sales", "")
	there := await(t, "the handshake", tunnels)
	passes(t, c, there, maskedHello)
	passes(t, there, c, hello)
}
