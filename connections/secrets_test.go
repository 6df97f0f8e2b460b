package connections

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/f737063d/caddy-connector/internal/leaktest"
)

// clientCertificate returns a certificate and its key, in PEM.
func clientCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// stored returns what the database keeps: its files, or all rows of all tables.
func (e *edge) stored() string {
	e.t.Helper()
	_, dsn, onServer := strings.Cut(e.options, "database postgres ")
	var all bytes.Buffer
	if !onServer {
		files, err := filepath.Glob(filepath.Join(e.storage, "connector.db*"))
		if err != nil || len(files) == 0 {
			e.t.Fatal("no files")
		}
		for _, file := range files {
			if strings.HasSuffix(file, ".key") {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				e.t.Fatal(err)
			}
			all.Write(content)
		}
		return all.String()
	}
	dsn, _, _ = strings.Cut(dsn, "\n")
	conn, err := pgx.Connect(e.t.Context(), dsn)
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	texts := func(query string) []string {
		rows, err := conn.Query(e.t.Context(), query)
		if err != nil {
			e.t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			e.t.Fatal(err)
		}
		return found
	}
	for _, table := range texts("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") {
		for _, row := range texts(`SELECT t::text FROM "` + table + `" AS t`) {
			all.WriteString(row + "\n")
		}
	}
	return all.String()
}

// ask returns what Caddy's admin endpoint answers.
func (e *edge) ask(method, path string) string {
	e.t.Helper()
	request, err := http.NewRequest(method, "http://"+e.admin+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	res, err := client.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		e.t.Fatalf("%s: %d %s %v", path, res.StatusCode, text, err)
	}
	return string(text)
}

// Credentials are read by nobody: not from an answer, the log, the metrics, the
// config or the database.
func TestSecrets(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		e.start(a.block("all", "auth api_key query key\nauth basic\nauth hmac header X-Signature {\ninputs method body\n}\nauth certificate") + a.block("bearer", "auth bearer") +
			"api away {\nbase_url http://" + freeAddr(t) + "\nauth api_key query key\n}\n")
		certificate, private := clientCertificate(t)
		secrets := []string{"planted/api+key", "planted-pass<word", "planted-hmac-key", "planted-bearer", "planted-new-key", "planted-refused", "planted-away"}
		basic := jsonObject{"type": "basic", "username": "someone", "password": secrets[1]}
		var planted leaktest.Scanner
		for _, secret := range append(secrets, strings.Split(private, "\n")[1]) {
			planted.Add(secret, secret)
		}
		answers := ""
		do := func(method, path, body string) reply {
			t.Helper()
			got := e.do("alice", method, path, body)
			answers += got.text + toJSON(got.Header)
			return got
		}
		made := do("POST", connect+"all/connections", toJSON(jsonObject{"name": "mine", "credentials": []any{
			jsonObject{"type": "api_key", "value": secrets[0]}, basic, jsonObject{"type": "hmac", "key": secrets[2]},
			jsonObject{"type": "certificate", "certificate": certificate, "key": private},
		}}))
		made.is(t, http.StatusCreated, "")
		id, one := made.id(), placeOf("all", made.id())
		bearer := do("POST", connect+"bearer/connections", `{"name":"mine","credentials":[{"type":"bearer","token":"`+secrets[3]+`"}]}`)
		bearer.is(t, http.StatusCreated, "")
		away := do("POST", connect+"away/connections", `{"name":"mine","credentials":[{"type":"api_key","value":"`+secrets[6]+`"}]}`)
		away.is(t, http.StatusCreated, "")

		call := func(id string) {
			t.Helper()
			got := e.call("alice", "GET", id, "/x?a=b", "")
			if answers += got.text + toJSON(got.Header); got.StatusCode < 500 {
				t.Errorf("the call: %d", got.StatusCode)
			}
		}
		call(id)
		call(bearer.id())
		call(away.id())
		do("POST", one+"/test", "").is(t, http.StatusOK, "")
		do("POST", placeOf("away", away.id())+"/test", "").is(t, http.StatusOK, "")
		do("PUT", one+"/credentials/0", `{"type":"api_key","value":"`+secrets[4]+`"}`).is(t, http.StatusOK, "")
		do("PUT", one, `{"id":"`+id+`","name":"other"}`).is(t, http.StatusOK, "")
		for _, credential := range []string{
			`{"type":"bearer","token":"` + secrets[5] + `"}`, `{"type":"api_key","value":"` + secrets[5] + `\n"}`, `{"type":"api_key","value":["` + secrets[5] + `"]}`,
			`{"` + secrets[5] + `":1}`, `"` + secrets[5] + `"`, `{"type":"` + secrets[5] + `"}`, secrets[5],
		} {
			do("PUT", one+"/credentials/0", credential).is(t, http.StatusUnprocessableEntity, "credential_invalid")
		}
		do("PUT", one, `{"id":"`+id+`","name":"x","credentials":[{"type":"`+secrets[5]+`"}]}`).is(t, http.StatusUnprocessableEntity, "credentials_immutable")
		do("POST", connect+"all/connections", `{"`+secrets[5]+`":1}`).is(t, http.StatusUnprocessableEntity, "member_unknown")
		do("GET", one, "")
		do("GET", connect+"all/connections", "")

		sent := ""
		for _, asked := range a.seen() {
			sent += asked.RequestURI + toJSON(asked.Header)
		}
		for _, secret := range []string{url.QueryEscape(secrets[0]), secrets[3]} {
			if !strings.Contains(sent, secret) {
				t.Errorf("the API was not sent %s", secret)
			}
		}
		stored := e.stored()
		for place, text := range map[string]string{
			"an answer": answers, "the log": e.logs(), "the config": e.ask("GET", "/config/"), "the metrics": e.ask("GET", "/metrics"), "the database": stored,
		} {
			if place == "the log" && !strings.Contains(text, id) || place == "the database" && !strings.Contains(text, "someone") && !strings.Contains(text, id) {
				t.Errorf("%s was not looked at", place)
			}
			planted.Check(t, place, text)
		}
	})
}

// damage writes to the database, past the edge.
func (e *edge) damage(statement string) {
	e.t.Helper()
	if _, err := e.open().Exec(statement); err != nil {
		e.t.Fatal(err)
	}
}

// bytes writes bytes in SQL.
func (e *edge) bytes(hex string) string {
	if strings.Contains(e.options, "database postgres ") {
		return `'\x` + hex + `'`
	}
	return "x'" + hex + "'"
}
