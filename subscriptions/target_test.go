package subscriptions

import (
	"net/http"
	"strings"
	"testing"
)

// What the guard of the way out would refuse is refused where it is written, in
// every spelling that leads there.
func TestTargetsThatAreRefused(t *testing.T) {
	e := start(t, strings.Replace(site, "max_per_owner 5", "max_per_owner 100", 1))
	subscribe := func(url string) reply {
		t.Helper()
		return e.do("alice", "POST", "/subscriptions", members("target_url", url, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}))
	}
	for _, host := range []string{
		"127.0.0.2", "127.0.0.2.", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "168.63.129.16", "255.255.255.255",
		"[::1]", "[::]", "[fd00::1]", "[fe80::1]", "[fe80::1%25eth0]", "[2606:4700::1111%25eth0]", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[64:ff9b::7f00:1]", "[::127.0.0.1]", "[2002:7f00:1::]",
		"2130706433", "0x7f000001", "0X7F000001", "017700000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "127.0.0.0x1", "127.0.0.1.2", "0", "1", "08.8.8.8", "hooks.example.123", "a.0x",
		"%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1", "127.0.0.%EF%BC%91", "127.0.0.1%EF%BC%8E", "%EF%BD%8Cocalhost", "127%E3%80%820.0.1", "%6cocalhost%2e", "h%20h", "."} {
		got := subscribe("https://" + host + ":443/in")
		if got.StatusCode != http.StatusUnprocessableEntity || got.body["code"] != "target_url_refused" && !(got.body["code"] == "target_url_invalid" && strings.Contains(host, "%")) {
			t.Errorf("%s: %d %s", host, got.StatusCode, got.text)
		}
	}
	for port, status := range map[string]int{"22": 422, "25": 422, "465": 422, "81": 422, "993": 422, "1023": 422, "80": 201, "443": 201, "1024": 201, "8443": 201, "65535": 201} {
		if got := subscribe("https://hooks.example.com:" + port); got.StatusCode != status || status == 422 && got.body["code"] != "target_url_refused" {
			t.Errorf("port %s: %d %s", port, got.StatusCode, got.text)
		}
	}
	for _, host := range []string{
		"8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "h", "1.example.com", "0x7f.example.com", "a_b.example.com", "HOOKS.example.com.", "xn--bcher-kva.example",
		"localhost.example.com", "mylocalhost", // no names of this machine
		"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "x.LOCALHOST.", // which are open in this site
	} {
		subscribe("https://"+host+"/in").is(t, http.StatusCreated, "")
	}
	if rows := e.rows("SELECT id FROM connector_subscriptions"); len(rows) != 20 {
		t.Errorf("%d subscriptions", len(rows))
	}
}

// Without `egress { allow }` for it, this machine's own names are refused.
func TestLocalhost(t *testing.T) {
	e := start(t, site)
	e.opens = "10.0.0.0/8"
	e.load("", site)
	for _, host := range []string{"localhost", "LOCALHOST", "localhost.", "a.b.localhost", "127.0.0.1"} {
		e.do("alice", "POST", "/subscriptions", members("target_url", "https://"+host+"/", "resource_type", "project", "resource_id", "p1", "events", []string{"*"})).is(t, 422, "target_url_refused")
	}
	e.subscribe("alice", "p1", "target_url", "https://10.1.2.3/")
}
