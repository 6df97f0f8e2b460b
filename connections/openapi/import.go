package openapi

import (
	"fmt"
	"strings"

	"github.com/f737063d/caddy-connector/connections/template"
)

// API is what a document says of an API, in the words of an `api` block.
type API struct {
	Name      string     `json:"name"`
	BaseURL   string     `json:"base_url,omitempty"`
	Variables []Variable `json:"variables,omitempty"`
	Auth      []Auth     `json:"auth,omitempty"` // in order

	// Test is the path of a GET operation that needs nothing but credentials.
	Test string `json:"test,omitempty"`
}

// Variable is one of the base URL.
type Variable struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"`
	Pattern string `json:"pattern,omitempty"`
}

// Auth is a scheme.
type Auth struct {
	Type   string  `json:"type"`           // none, or as in package credential
	In     string  `json:"in,omitempty"`   // of an api_key
	Name   string  `json:"name,omitempty"` // of an api_key
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
}

// OAuth2 is how tokens are got.
type OAuth2 struct {
	Grant        string   `json:"grant"`
	AuthorizeURL string   `json:"authorize_url,omitempty"`
	TokenURL     string   `json:"token_url"`
	Scopes       []string `json:"scopes,omitempty"`
	AuthStyle    string   `json:"auth_style"`
}

// Imported is what is made of a document.
type Imported struct {
	API      API       `json:"api"`
	Messages []Message `json:"messages"`
}

// Failed reports whether something that the API needs is missing.
func (i *Imported) Failed() bool {
	for _, m := range i.Messages {
		if m.Severity == Failure {
			return true
		}
	}
	return false
}

// Import makes an API of a document in JSON or YAML. Without a name, it is that
// of its title. Like Parse, it has no other document read, takes a bounded time,
// and never panics. The error is an *Error, unless it is of the name.
func Import(data []byte, name string) (*Imported, error) {
	if name != "" && !IsName(name) {
		return nil, fmt.Errorf("%.32q cannot be the name of an API: it has 1 to %d letters, digits, '_' or '-', and begins with a letter",
			name, maxAPIName)
	}
	s, err := read(data)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = s.name()
	}
	imported := &Imported{API: API{Name: name}, Messages: []Message{}}
	api := &imported.API
	api.BaseURL, api.Variables = s.baseURL()
	api.Auth = s.auth()
	api.Test = s.testPath()
	imported.Messages = append(imported.Messages, s.list...)
	return imported, nil
}

const maxAPIName = 64

// IsName reports whether an API can have this name.
func IsName(name string) bool { return template.IsName(name) }

// name makes a name of the title.
func (s *source) name() string {
	var b strings.Builder
	for _, r := range strings.ToLower(s.root.get("info").get("title").text()) {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxAPIName/2 {
			break
		}
	}
	name := strings.Trim(b.String(), "-")
	if !IsName(name) { // it begins with a digit, or is empty
		name = strings.Trim("api-"+name, "-")
	}
	return name
}
