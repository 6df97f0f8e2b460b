package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// forward_auth sets no {http.auth.user.id}; its answer is where the user comes
// from, and no request can put one there.
func TestForwardAuth(t *testing.T) {
	auth := newUpstream(t, func(r *http.Request, conn net.Conn) {
		user := map[string]string{"session=a1": "Remote-User: alice\r\n", "session=b2": "Remote-User: bob\r\n", "session=nobody": ""}
		header, ok := user[r.Header.Get("Cookie")]
		status := "200 OK"
		if !ok {
			status = "401 Unauthorized"
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nConnection: close\r\nContent-Length: 0\r\n"+header+"\r\n")
	})
	u := newUpstream(t, nil)
	t.Setenv("SALES_SECRET", proxySecret)
	s := start(t, "", fmt.Sprintf(`EDGE {
	forward_auth %s {
		uri /verify
	}
	connector {
		user {http.reverse_proxy.header.Remote-User}
		service sales %s {env.SALES_SECRET}
	}
}`, auth.url, u.url))

	forged := []string{"Authorization: none", "Remote-User: mallory", "X-Forwarded-User: mallory", "blink-auth-userid: mallory"}
	for cookie, want := range map[string]string{"session=a1": "alice", "session=b2": "bob"} {
		if got := s.do("POST", "/connector/sales/x", "hello", append(forged, "Cookie: "+cookie)...); got.StatusCode != 200 {
			t.Errorf("%s: %d %s", cookie, got.StatusCode, got.body)
		}
		request := u.one(t)
		wantProof(t, request, want)
		if body := request[len(request)-5:]; body != "hello" {
			t.Errorf("the body is %q", body)
		}
	}
	s.get("/connector/sales/x", append(forged, "Cookie: session=nobody")...).isProblem(t, 401, "user_missing")
	if got := s.get("/connector/sales/x", forged...); got.StatusCode != 401 {
		t.Errorf("%d", got.StatusCode)
	}
	if requests := u.seen(); len(requests) != 0 {
		t.Errorf("the upstream saw %q", requests)
	}
}
