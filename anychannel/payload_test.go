package anychannel

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// nasty are texts that a careless encoder changes.
var nasty = []string{
	"",
	" ",
	"{}",
	`{"liked": "true"}`,
	"{\n   \"liked\" :\t\"true\"\r\n }\n",
	`+ & % = ; # ? / \ " ' < > | ^ ~ * ( ) , : @`,
	"a=b&client_data=c&instance_metadata=d",
	"%2B%26%3D%25 %zz %",
	"++  ++",
	`{"id":9007199254740993,"big":18446744073709551616,"exp":1E400,"zero":-0.0}`,
	`{"a":1,"a":2}`,
	`"\u0000\ud83d\ude00\ud800\/"`,
	"\x00\x01\x1f\x7f",
	"👍 ü 中文 \u200b\u202e\ufeff\ufffd",
	"line\u2028and\u2029paragraph\u0085",
	"</script><script>alert(1)</script><!-- ]]>",
	`{"instance_metadata":"x","client_data":"y"}`,
	`"},"x":"`,
	"{env.HOME} {http.auth.user.id} {{.}} ${HOME}",
	strings.Repeat(`\"&`, 200),
}

func TestPayload(t *testing.T) {
	for _, metadata := range nasty {
		for _, data := range nasty {
			wantPayload(t, metadata, data)
		}
	}
}

// What a service decodes is the metadata and the app's body, byte for byte, and
// nothing else, whatever both are.
func FuzzPayload(f *testing.F) {
	for i, metadata := range nasty {
		f.Add(metadata, nasty[len(nasty)-1-i])
	}
	f.Fuzz(func(t *testing.T, metadata, data string) {
		if utf8.ValidString(metadata) && utf8.ValidString(data) {
			wantPayload(t, metadata, data)
		}
	})
}

func wantPayload(t *testing.T, metadata, data string) {
	t.Helper()
	form := newPayloadPrefix(encodingForm, secretOf(metadata))
	wantForm(t, string(form.append([]byte(data))), metadata, data)
	object := newPayloadPrefix(encodingJSON, secretOf(metadata))
	wantObject(t, string(object.append([]byte(data))), metadata, data)
	if form.contentType() != "application/x-www-form-urlencoded" || object.contentType() != "application/json" {
		t.Errorf("content types %q, %q", form.contentType(), object.contentType())
	}
	// a prefix serves every request of its instance
	wantForm(t, string(form.append(nil)), metadata, "")
}

// formAlphabet is what no decoder of forms reads differently.
var formAlphabet = regexp.MustCompile(`^instance_metadata=([A-Za-z0-9+._~-]|%[0-9A-F]{2})*&client_data=([A-Za-z0-9+._~-]|%[0-9A-F]{2})*$`)

func wantForm(t *testing.T, payload, metadata, data string) {
	t.Helper()
	values, err := url.ParseQuery(payload)
	if err != nil || !formAlphabet.MatchString(payload) || len(values) != 2 ||
		len(values["instance_metadata"]) != 1 || values.Get("instance_metadata") != metadata ||
		len(values["client_data"]) != 1 || values.Get("client_data") != data {
		t.Errorf("%q and %q became %q, %v", metadata, data, payload, err)
	}
}

func wantObject(t *testing.T, payload, metadata, data string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(payload))
	var tokens []json.Token
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%q and %q became %q: %v", metadata, data, payload, err)
		}
		tokens = append(tokens, token)
	}
	want := []json.Token{json.Delim('{'), "instance_metadata", metadata, "client_data", data, json.Delim('}')}
	if fmt.Sprintf("%q", tokens) != fmt.Sprintf("%q", want) {
		t.Errorf("%q and %q became %q", metadata, data, payload)
	}
}

// secretOf is a secret whose text is taken as it is, placeholders and nothing
// included.
func secretOf(text string) secret.Value {
	some, _ := secret.Resolve(caddy.NewReplacer(), "some")
	return some.Map(func(string) string { return text })
}

// Z14: whoever prints an instance, to find a fault, prints no metadata.
func TestMetadataIsNotPrinted(t *testing.T) {
	const metadata = `{"token":"s3cr3t&xyz"}`
	t.Setenv("METADATA", metadata)
	for _, encoding := range []string{encodingForm, encodingJSON} {
		integrations := map[string]*Integration{"ig": {Encoding: encoding}}
		instance := &Instance{Integration: "ig", Metadata: "{env.METADATA}"}
		if err := instance.provision("omniwear", integrations, caddy.NewReplacer(), zap.NewNop()); err != nil {
			t.Fatal(err)
		}
		if prefix := instance.prefix.text.Reveal(); !strings.Contains(prefix, "s3cr3t") {
			t.Fatalf("nothing is tested: %q", prefix)
		}
		for _, printed := range []any{
			instance.prefix, &instance.prefix, instance.prefix.text, *instance, instance,
			map[string]*Instance{"omniwear": instance}, []payloadPrefix{instance.prefix}, &exchange{instance: instance},
			&Handler{Instances: map[string]*Instance{"omniwear": instance}},
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				wantNoMetadata(t, fmt.Sprintf("%s of %T", verb, printed), fmt.Sprintf(verb, printed))
			}
		}
		for _, encoded := range []any{instance, instance.prefix, instance.prefix.text} {
			text, err := json.Marshal(encoded)
			if err != nil {
				t.Fatal(err)
			}
			wantNoMetadata(t, fmt.Sprintf("JSON of %T", encoded), string(text))
		}
	}
}

func wantNoMetadata(t *testing.T, where, text string) {
	t.Helper()
	for _, spelling := range []string{"s3cr3t", fmt.Sprintf("%x", "s3cr3t"), fmt.Sprintf("%X", "s3cr3t"), fmt.Sprint([]byte("s3cr3t"))[1:15]} {
		if strings.Contains(text, spelling) {
			t.Errorf("%s: %s", where, text)
		}
	}
}
