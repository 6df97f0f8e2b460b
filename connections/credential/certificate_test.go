package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

type pemPair struct{ certificate, key string }

// newPair makes a certificate that signs itself.
func newPair(name string) pemPair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemPair{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
	}
}

func (p pemPair) form(t testing.TB, ca string) string {
	t.Helper()
	form := map[string]string{"type": "certificate", "certificate": p.certificate, "key": p.key}
	if ca != "" {
		form["ca"] = ca
	}
	encoded, err := json.Marshal(form)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

var sharedPair = sync.OnceValue(func() pemPair { return newPair("alice") })

func certificateForm(t testing.TB) string { return sharedPair().form(t, "") }

// A server that wants a certificate gets the one of the connection, and is known
// by the connection's own CA.
func TestClientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))

	a := newAuth(t, None{}, Certificate{})
	credentials := read(t, a, `{"type":"none"}`, sharedPair().form(t, ca))
	client, ok := ClientCertificateOf(credentials)
	if !ok {
		t.Fatal("there is none")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{GetClientCertificate: client.Get, RootCAs: client.RootCAs()}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "alice" {
		t.Errorf("%s", body)
	}

	// connections of others are not of use
	ids := map[[32]byte]bool{client.ID(): true}
	for _, form := range []string{certificateForm(t), newPair("bob").form(t, ca), newPair("alice").form(t, ca)} {
		other, _ := ClientCertificateOf(read(t, newAuth(t, Certificate{}), form))
		if ids[other.ID()] {
			t.Error("two have one id")
		}
		ids[other.ID()] = true
	}
	same, _ := ClientCertificateOf(read(t, a, `{"type":"none"}`, sharedPair().form(t, ca)))
	if same.ID() != client.ID() {
		t.Error("one has two ids")
	}
	if other, ok := ClientCertificateOf(read(t, newAuth(t, Certificate{}), certificateForm(t))); !ok || other.RootCAs() != nil {
		t.Error("the system's CAs are not used")
	}
	if _, ok := ClientCertificateOf(credentials[:1]); ok {
		t.Error("there is one")
	}

	// a key of another certificate
	mixed := pemPair{newPair("carol").certificate, sharedPair().key}
	if _, err := newAuth(t, Certificate{}).Read(0, []byte(mixed.form(t, ""))); err == nil {
		t.Error("a certificate is taken with another's key")
	}
}
