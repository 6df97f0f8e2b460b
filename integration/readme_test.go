package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// documents are for users to read.
func documents(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"../README.md", "../docs/subscriptions.md", "../docs/connections.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// Every Caddyfile in the documents can be adapted. What has a word in angle
// brackets is a syntax; what has lines or an ellipsis, a picture or a part.
func TestCaddyfilesOfTheReadme(t *testing.T) {
	adapted := 0
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\\n(.*?)^```$").FindAllStringSubmatch(documents(t), -1) {
		if block[1] != "" || strings.ContainsAny(block[2], "<│…") {
			continue
		}
		adapted++
		if _, err := adapt(block[2]); err != nil {
			t.Errorf("%v\n%s", err, block[2])
		}
	}
	if adapted < 7 {
		t.Errorf("%d Caddyfiles", adapted)
	}
}

// The push in the README has the signature that its secret makes.
func TestPushOfTheReadme(t *testing.T) {
	push := regexp.MustCompile("(?s)```http\n(POST .*?\n\n(.*?))\n```.*?`(whsec_[^`]+)`").FindStringSubmatch(documents(t))
	if push == nil {
		t.Fatal("the README has no push")
	}
	header := make(http.Header)
	for _, line := range regexp.MustCompile(`(?m)^(webhook-\w+): (.*)$`).FindAllStringSubmatch(push[1], -1) {
		header.Set(line[1], line[2])
	}
	hook, err := standardwebhooks.NewWebhook(push[3])
	if err != nil {
		t.Fatal(err)
	}
	if err := hook.VerifyIgnoringTimestamp([]byte(push[2]), header); err != nil {
		t.Errorf("%v: %v %s", err, header, push[2])
	}
}

// Every code that the OpenAPI document has is in the documents, too.
func TestCodesOfTheReadme(t *testing.T) {
	encoded, err := os.ReadFile("../subscriptions/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(encoded, &document); err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	collectCodes(document, codes)
	if len(codes) < 40 {
		t.Fatalf("codes: %v", codes)
	}
	text := documents(t)
	for code := range codes {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("the documents lack %s", code)
		}
	}
}

// collectCodes finds what the members `code` of an OpenAPI document can be.
func collectCodes(part any, codes map[string]bool) {
	switch part := part.(type) {
	case []any:
		for _, item := range part {
			collectCodes(item, codes)
		}
	case map[string]any:
		for name, member := range part {
			collectCodes(member, codes)
			schema, _ := member.(map[string]any)
			if name != "code" || schema == nil {
				continue
			}
			values, _ := schema["enum"].([]any)
			for _, value := range append(values, schema["const"]) {
				if code, ok := value.(string); ok {
					codes[code] = true
				}
			}
		}
	}
}
