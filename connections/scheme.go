package connections

import (
	"fmt"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
)

// Scheme is one way in which an API takes a credential.
type Scheme struct {
	// `none`, `api_key`, `basic`, `bearer`, `oauth2`, `hmac` or `certificate`.
	Type string `json:"type"`

	// Where an API key or a signature stands: `header`, `query` or `cookie`.
	In string `json:"in,omitempty"`

	// The name of that header, parameter or cookie; sent as spelled.
	Name string `json:"name,omitempty"`

	// What the scheme `hmac` signs, and how.
	HMAC *HMAC `json:"hmac,omitempty"`

	// Where the tokens of the scheme `oauth2` come from.
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
}

// HMAC is a signature of each request with a key that the user has from the API.
type HMAC struct {
	// `sha1`, `sha256` or `sha512`. Default: `sha256`.
	Algorithm string `json:"algorithm,omitempty"`

	// `hex` or `base64`. Default: `hex`.
	Encoding string `json:"encoding,omitempty"`

	// What stands before the signature, such as `sha256=`.
	Prefix string `json:"prefix,omitempty"`

	// What is signed, in order: `method`, `url`, `host`, `path`, `query`, `date`,
	// `digest` or `body`. With the last two, bodies are at most 1 MiB.
	Inputs []string `json:"inputs"`

	// What stands between the inputs. Default: nothing.
	Separator string `json:"separator,omitempty"`

	// The header with the time, for the input `date`. Default: `Date`.
	DateHeader string `json:"date_header,omitempty"`

	// `http`, `rfc3339`, `unix` or `unix_ms`. Default: `http`.
	DateFormat string `json:"date_format,omitempty"`

	// The header with the body's digest, for the input `digest`. Default:
	// `Content-Digest`.
	DigestHeader string `json:"digest_header,omitempty"`
}

func (s *Scheme) scheme() (credential.Scheme, error) {
	place := credential.Place{In: s.In, Name: s.Name}
	placed := s.Type == "api_key" || s.Type == "hmac"
	switch {
	case !placed && place != (credential.Place{}):
		return nil, fmt.Errorf("it has no place of its own")
	case (s.Type == "hmac") != (s.HMAC != nil):
		return nil, fmt.Errorf("hmac is for the scheme of that type, which must have it")
	case (s.Type == "oauth2") != (s.OAuth2 != nil):
		return nil, fmt.Errorf("oauth2 is for the scheme of that type, which must have it")
	}
	switch s.Type {
	case "none":
		return credential.None{}, nil
	case "api_key":
		return credential.APIKey{Place: place}, nil
	case "basic":
		return credential.Basic{}, nil
	case "bearer":
		return credential.Bearer{}, nil
	case "certificate":
		return credential.Certificate{}, nil
	case "oauth2":
		return s.OAuth2.scheme(), s.OAuth2.check()
	case "hmac":
		return s.HMAC.scheme(place), nil
	}
	return nil, fmt.Errorf("'%s' is not none, api_key, basic, bearer, oauth2, hmac or certificate", s.Type)
}

// isUnattended reports whether the scheme needs nothing of the user's.
func (s *Scheme) isUnattended() bool {
	return s.Type == "none" || s.OAuth2 != nil && s.OAuth2.Grant == oauth.ClientCredentials
}

func (h *HMAC) scheme(place credential.Place) credential.HMAC {
	return credential.HMAC{
		Place: place, Prefix: h.Prefix, Algorithm: h.Algorithm, Encoding: h.Encoding, Inputs: h.Inputs, Separator: h.Separator,
		DateHeader: h.DateHeader, DateFormat: h.DateFormat, DigestHeader: h.DigestHeader,
	}
}
