package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority of this test alone.
type authority struct {
	file string // its certificate, as PEM
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, a.key = a.issue(t, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		Subject: pkix.Name{CommonName: "test authority"},
	})
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(a.file, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue signs a certificate, by itself where a has none yet.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// serverConfig is the TLS of a server with these names.
func (a *authority) serverConfig(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, key := a.issue(t, template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// newService starts an integration service: newUpstream over TLS, on loopback.
func newService(t *testing.T, a *authority, answer func(*http.Request, net.Conn)) *upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := serveUpstream(t, tls.NewListener(listener, a.serverConfig(t, "127.0.0.1", "localhost")), answer)
	u.url = "https://" + listener.Addr().String()
	return u
}

// jsonAnswer answers 200 with JSON.
func jsonAnswer(body string) func(*http.Request, net.Conn) {
	return rawAnswer(fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
}

// openEgress is the global option by which services on loopback are reached.
func (a *authority) openEgress() string {
	return fmt.Sprintf("connector {\n\t\tegress {\n\t\t\tallow 127.0.0.0/8\n\t\t\ttrust_pool file %s\n\t\t}\n\t}", a.file)
}

// omniwear is the metadata of the instance in channelWith.
const omniwear = `{"account":"omniwear","token":"s3cr3t+of/omniwear=&% ü"}`

// channelWith is a site with any_channel: an integration whose manifest is at
// the service, an instance, and a ticket of each kind. What more adds is in its
// block.
func channelWith(t *testing.T, service *upstream, more string) string {
	t.Helper()
	t.Setenv("OMNIWEAR_METADATA", omniwear)
	return fmt.Sprintf(`EDGE {
	log
	%s
	route {
		any_channel {
			integration instagram {
				manifest %s/int/ig/manifest.json
				poll off
			}
			instance omniwear {
				integration instagram
				metadata {env.OMNIWEAR_METADATA}
			}
			instance asleep {
				integration instagram
				metadata {env.OMNIWEAR_METADATA}
				inactive
			}
			tickets static {
				62 omniwear
				63 omniwear bob
				64 asleep
			}
			%s
		}
		respond "not any_channel's" 418
	}
}
`, accounts, service.url, more)
}

// proxyTo is the target of a request to any_channel.
func proxyTo(ticketID, postToPath string) string {
	return "/api/v2/any_channel/proxy.json?ticket_id=" + url.QueryEscape(ticketID) + "&post_to_path=" + url.QueryEscape(postToPath)
}

const asJSON = "Content-Type: application/json"

// isEnvelope checks that the edge itself gave this answer, in Zendesk's form.
func (a answer) isEnvelope(t *testing.T, status int, name string) {
	t.Helper()
	var envelope struct {
		Error       string
		Description string
		Details     map[string][]struct{ Description, Error string }
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&envelope); err != nil {
		t.Errorf("answer %d %q: %v", a.StatusCode, a.body, err)
		return
	}
	if a.StatusCode != status || envelope.Error != name ||
		a.Header.Get("Content-Type") != "application/json; charset=utf-8" ||
		!strings.HasPrefix(a.Header.Get("Proxy-Status"), "caddy-connector; error=") {
		t.Errorf("answer %d %v %q, want %d %s", a.StatusCode, a.Header, a.body, status, name)
	}
}

// sentFields returns the two parameters that a service got in a recorded
// request, decoded by net/url or encoding/json.
func sentFields(t *testing.T, request string) (metadata, clientData string) {
	t.Helper()
	_, body, _ := strings.Cut(request, "\r\n\r\n")
	var fields map[string][]string
	switch contentType := headerValues(request, "Content-Type"); contentType[0] {
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		fields = values
	case "application/json":
		var object map[string]string
		if err := json.Unmarshal([]byte(body), &object); err != nil {
			t.Fatal(err)
		}
		fields = make(map[string][]string)
		for name, value := range object {
			fields[name] = []string{value}
		}
	default:
		t.Fatalf("Content-Type %q", contentType)
	}
	if len(fields) != 2 || len(fields["instance_metadata"]) != 1 || len(fields["client_data"]) != 1 {
		t.Fatalf("the service got %q", fields)
	}
	return fields["instance_metadata"][0], fields["client_data"][0]
}
