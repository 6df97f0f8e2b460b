package connections

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// userCertificate makes a certificate that signs itself, and its key, in PEM.
func userCertificate(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", encoded)
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// V6: the API knows each user by the certificate of the connection that the
// request came by, which is never another user's.
func TestClientCertificates(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			connections := make(map[string]map[string]bool) // by user
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.TLS.PeerCertificates) == 0 {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				user := r.TLS.PeerCertificates[0].Subject.CommonName
				mu.Lock()
				defer mu.Unlock()
				if connections[user] == nil {
					connections[user] = make(map[string]bool)
				}
				connections[user][r.RemoteAddr] = true
				_, _ = io.WriteString(w, user+" "+r.Proto)
			}))
			server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			server.EnableHTTP2 = http2
			server.StartTLS()
			t.Cleanup(server.Close)
			ca := inPEM("CERTIFICATE", server.Certificate().Raw)

			e := start(t, at("bank", server.URL, "auth certificate")+at("trusting", server.URL, "auth none"))
			ids := make(map[string]string)
			for _, user := range []string{"alice", "bob"} {
				certificate, key := userCertificate(t, user)
				ids[user] = e.connected(user, "bank", named("a", `,"credentials":`+toJSON([]map[string]string{
					{"type": "certificate", "certificate": certificate, "key": key, "ca": ca},
				})))
			}
			protocol := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]
			for range 5 {
				for user, id := range ids {
					if got := e.call(user, "GET", id, "/x", ""); got.text != user+" "+protocol {
						t.Errorf("%s: %d %s", user, got.StatusCode, got.text)
					}
				}
			}
			if fmt.Sprint(len(connections["alice"]), len(connections["bob"])) != "1 1" {
				t.Errorf("connections: %v", connections)
			}
			for addr := range connections["alice"] {
				if connections["bob"][addr] {
					t.Error("bob's requests came by alice's connection")
				}
			}
			// what one user trusts, others do not
			id := e.connected("alice", "trusting", named("a", ""))
			e.call("alice", "POST", id, "/x", "").is(t, http.StatusBadGateway, "upstream_unreachable")
			// without its CA
			certificate, key := userCertificate(t, "carol")
			id = e.connected("carol", "bank", named("a", `,"credentials":`+toJSON([]map[string]string{{"type": "certificate", "certificate": certificate, "key": key}})))
			e.call("carol", "POST", id, "/x", "").is(t, http.StatusBadGateway, "upstream_unreachable")
		})
	}
}
