package receiver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func provisioned(t testing.TB, h *Handler) *Handler {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	h.logger = zap.NewNop()
	return h
}

// formOf and jsonOf are what a proxy posts.
func formOf(metadata, clientData string) string {
	return metadataField + "=" + url.QueryEscape(metadata) + "&" + clientDataField + "=" + url.QueryEscape(clientData)
}

func jsonOf(t testing.TB, metadata, clientData string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{metadataField: metadata, clientDataField: clientData})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func newPost(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/like", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

// served is what became of a request.
type served struct {
	*httptest.ResponseRecorder
	repl   *caddy.Replacer
	behind *http.Request // what the next handler got, or nil
	body   string        // what it read
}

func serve(t testing.TB, h *Handler, r *http.Request) served {
	t.Helper()
	s := served{ResponseRecorder: httptest.NewRecorder(), repl: caddyhttp.NewTestReplacer(r)}
	err := h.ServeHTTP(s, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		s.behind = r
		body, err := io.ReadAll(r.Body)
		s.body = string(body)
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// code is that of the problem that was answered, or ok.
func (s served) code(t testing.TB) string {
	t.Helper()
	if s.behind != nil {
		return "ok"
	}
	var problem struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal(s.Body.Bytes(), &problem); err != nil || problem.Status != s.Code {
		t.Fatalf("%v: %d %s", err, s.Code, s.Body)
	}
	return problem.Code
}

func (s served) placeholder(t testing.TB, name string) string {
	t.Helper()
	value, known := s.repl.GetString("http.any_channel_service." + name)
	if !known {
		t.Errorf("%s is unknown", name)
	}
	return value
}

// Nothing of a request is in logs or in what the handler answers itself.
func TestNothingLeaks(t *testing.T) {
	t.Setenv("RECEIVER_SECRET", "s3cr3t")
	h := provisioned(t, &Handler{Secret: &MetadataSecret{Member: "secret", Secrets: []string{"{env.RECEIVER_SECRET}"}}})
	core, logs := observer.New(zap.DebugLevel)
	h.logger = zap.New(core)
	for body, want := range map[string]string{
		formOf(`{"secret":"s3cr3t","token":"leak"}`, `{"a":"leak"}`): "ok",
		formOf(`{"secret":"leak"}`, `{"a":"leak"}`):                  "secret_invalid",
		formOf(`{"secret":"s3cr3t"}`, `leak`):                        "client_data_invalid",
		formOf("leak"+strings.Repeat("x", maxMetadata), ``):          "metadata_invalid",
		"leak=%zz": "form_invalid",
	} {
		s := serve(t, h, newPost(formType, body))
		if s.code(t) != want || strings.Contains(s.Body.String()+fmt.Sprint(s.Header()), "leak") {
			t.Errorf("%s: %v %s", body, s.Header(), s.Body)
		}
		if want == "ok" {
			s.placeholder(t, "instance_metadata.token")
		}
	}
	if logs.Len() != 1 || strings.Contains(fmt.Sprint(logs.All()), "leak") || strings.Contains(fmt.Sprint(logs.All()), "s3cr3t") {
		t.Errorf("%v", logs.All())
	}
}

func TestModule(t *testing.T) {
	module := new(Handler).CaddyModule()
	if _, ok := module.New().(*Handler); !ok || module.ID != "http.handlers.any_channel_service" {
		t.Errorf("%v", module)
	}
}
