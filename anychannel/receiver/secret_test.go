package receiver

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
)

func withSecrets(t *testing.T, member string, plain ...string) *Handler {
	t.Helper()
	s := &MetadataSecret{Member: member}
	for i, plain := range plain {
		name := fmt.Sprintf("RECEIVER_SECRET_%d", i)
		t.Setenv(name, plain)
		s.Secrets = append(s.Secrets, "{env."+name+"}")
	}
	return provisioned(t, &Handler{Secret: s})
}

func TestSecret(t *testing.T) {
	h := withSecrets(t, "key.é", "current é", "previous")
	for metadata, want := range map[string]string{
		`{"key.é":"current é"}`:                              "ok",
		`{"key.é":"previous"}`:                               "ok",
		` {"token":"x", "key\u002e\u00e9":"previo\u0075s" }`: "ok",
		`{"key.é":"current"}`:                                "secret_invalid",
		`{"key.é":"current éé"}`:                             "secret_invalid",
		`{"key.é":"CURRENT É"}`:                              "secret_invalid",
		`{"key.é":""}`:                                       "secret_invalid",
		`{"key.é":"{env.RECEIVER_SECRET_1}"}`:                "secret_invalid",
		`{"key.é":["previous"]}`:                             "secret_invalid",
		`{"key.é":{"key.é":"previous"}}`:                     "secret_invalid",
		`{"key.é":null}`:                                     "secret_invalid",
		`{"key.é":1}`:                                        "secret_invalid",
		`{"key.é":"previous","key.é":"previous"}`:            "secret_invalid",
		`{"key.é":"wrong","key\u002eé":"previous"}`:          "secret_invalid",
		`{"key":{"é":"previous"}}`:                           "secret_invalid",
		`{"Key.é":"previous"}`:                               "secret_invalid",
		`{"a":{"key.é":"previous"}}`:                         "secret_invalid",
		`[{"key.é":"previous"}]`:                             "secret_invalid",
		`["key.é","previous"]`:                               "secret_invalid",
		`"previous"`:                                         "secret_invalid",
		`previous`:                                           "secret_invalid",
		`{}`:                                                 "secret_invalid",
		`null`:                                               "secret_invalid",
		``:                                                   "secret_invalid",
		`{"key.é":"previous"`:                                "secret_invalid",
		`{"key.é":"previous"} x`:                             "secret_invalid",
	} {
		for contentType, body := range map[string]string{
			formType: formOf(metadata, "{}"),
			jsonType: jsonOf(t, metadata, "{}"),
		} {
			s := serve(t, h, newPost(contentType, body))
			if got := s.code(t); got != want {
				t.Errorf("%s: %s, want %s", metadata, got, want)
			}
			if denied := want != "ok"; denied != (s.Code == 401) || denied != (s.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%s: %d %v", metadata, s.Code, s.Header())
			}
		}
	}
	// who has no secret doesn't learn what is wrong with the client data
	if got := serve(t, h, newPost(formType, formOf("{}", "{"))).code(t); got != "secret_invalid" {
		t.Errorf("with bad client data: %s", got)
	}
}

func TestProvisionSecret(t *testing.T) {
	t.Setenv("RECEIVER_EMPTY", "")
	t.Setenv("RECEIVER_BYTES", "\xff")
	t.Setenv("RECEIVER_GOOD", "g00d")
	for config, wantErr := range map[string]string{
		`{"member":"m","secrets":["{env.RECEIVER_GOOD}"]}`:               "",
		`{"member":"m","secrets":["{env.RECEIVER_GOOD}-x","l1t{er}al"]}`: "",
		`{}`:                            "the member's name is required",
		`{"secrets":["x"]}`:             "the member's name is required",
		`{"member":"m"}`:                "a secret is required",
		`{"member":"m","secrets":[]}`:   "a secret is required",
		`{"member":"m","secrets":[""]}`: "secret 1: empty secret",
		`{"member":"m","secrets":["{env.RECEIVER_GOOD}","{env.RECEIVER_EMPTY}"]}`:  "secret 2: evaluated placeholder {env.RECEIVER_EMPTY} is empty",
		`{"member":"m","secrets":["{env.RECEIVER_NONE}"]}`:                         "secret 1: evaluated placeholder {env.RECEIVER_NONE} is empty",
		`{"member":"m","secrets":["{no.such}"]}`:                                   "secret 1: unrecognized placeholder {no.such}",
		`{"member":"m","secrets":["a-{env.RECEIVER_EMPTY}"]}`:                      "secret 1: evaluated placeholder",
		`{"member":"m","secrets":["{http.request.header.X}"]}`:                     "secret 1: unrecognized placeholder",
		`{"member":"m","secrets":["{env.RECEIVER_GOOD}","{env.RECEIVER_BYTES}"]}`:  "secret 2: it is not UTF-8",
		`{"member":"m","secrets":["{env.RECEIVER_GOOD}"," {env.RECEIVER_BYTES}"]}`: "secret 2: it is not UTF-8",
	} {
		h := new(Handler)
		if err := json.Unmarshal([]byte(`{"secret":`+config+`}`), h); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		err := h.Provision(ctx)
		cancel()
		if wantErr == "" {
			if err != nil {
				t.Errorf("%s: %v", config, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), wantErr) || strings.Contains(err.Error(), "\xff") {
			t.Errorf("%s: %v, want %s", config, err, wantErr)
		}
	}
}

// A secret in the config itself is warned of, without showing it.
func TestLiteralSecret(t *testing.T) {
	t.Setenv("RECEIVER_GOOD", "g00d")
	core, logs := observer.New(zap.DebugLevel)
	s := &MetadataSecret{Member: "m", Secrets: []string{"{env.RECEIVER_GOOD}", "l1t{er}al"}}
	if err := s.provision(zap.New(core)); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(logs.All())
	if logs.Len() != 1 || logs.All()[0].Level != zap.WarnLevel || logs.All()[0].ContextMap()["secret"] != int64(2) ||
		strings.Contains(all, "l1t") || strings.Contains(all, "g00d") {
		t.Errorf("%s", all)
	}
	if !s.isIn(`{"m":"l1t{er}al"}`) || !s.isIn(`{"m":"g00d"}`) || s.isIn(`{"m":"l1tal"}`) {
		t.Error("not the secrets that were configured")
	}
}

// However the handler is printed, a resolved secret is not in it.
func TestSecretIsNotPrinted(t *testing.T) {
	h := withSecrets(t, "m", "s3cr3t-value")
	digest := sha256.Sum256([]byte("s3cr3t-value"))
	encoded, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		string(encoded), fmt.Sprint(h), fmt.Sprintf("%v", *h.Secret), fmt.Sprintf("%+v", h), fmt.Sprintf("%#v", h),
		fmt.Sprintf("%v", h.Secret), fmt.Sprintf("%+v", h.Secret), fmt.Sprintf("%#v", h.Secret), fmt.Sprintf("%#v", *h.Secret),
	} {
		for _, plain := range []string{
			"s3cr3t-value", fmt.Sprintf("%x", "s3cr3t-value"), fmt.Sprint([]byte("s3cr3t-value")),
			strings.Trim(fmt.Sprint(digest), "[]"), fmt.Sprintf("%#v", digest), fmt.Sprintf("%x", digest),
		} {
			if strings.Contains(printed, plain) {
				t.Errorf("%s", printed)
			}
		}
	}
}
