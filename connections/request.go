package connections

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/template"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/jsonbody"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

const (
	maxRequest   = 256 << 10 // a certificate's chain is the longest that is in one
	maxName      = 255       // characters
	maxVariables = 64
)

// object is the members of a JSON object, by their exact names.
type object map[string]json.RawMessage

// read reads a call's body, whose members must all be known.
func (c *call) read(known ...string) (object, error) {
	o, broken := jsonbody.Object(c.request, maxRequest)
	if broken != nil {
		return nil, &refusal{broken}
	}
	return o, object(o).check(known)
}

func (o object) check(known []string) error {
	n := 0
	for _, name := range known {
		if _, ok := o[name]; ok {
			n++
		}
	}
	if n < len(o) {
		return errMember
	}
	return nil
}

// name reads the connection's name.
func (o object) name() (string, error) {
	name, ok := strictjson.Text(o["name"])
	if n := utf8.RuneCountInString(name); !ok || n == 0 || n > maxName {
		return "", errName
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return "", errName
		}
	}
	return name, nil
}

// variables reads what a connection has for the variables of its API, or nil where
// the body says nothing of them.
func (o object) variables(of *template.Template) (map[string]string, error) {
	encoded, given := o["variables"]
	if !given {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(encoded, &list) != nil || list == nil || len(list) > maxVariables {
		return nil, errVariables
	}
	variables := make(map[string]string, len(list))
	for _, each := range list {
		pair, err := strictjson.Object(each)
		if err != nil || object(pair).check([]string{"name", "value"}) != nil {
			return nil, errVariables
		}
		name, ok := strictjson.Text(pair["name"])
		value, isText := strictjson.Text(pair["value"])
		if _, repeated := variables[name]; !ok || !isText || repeated {
			return nil, errVariables
		}
		if err := of.Check(name, value); err != nil {
			return nil, err
		}
		variables[name] = value
	}
	// what they make of the URL together; one that is missing may still come
	if _, err := of.Expand(variables, nil); err != nil {
		if wrong, ok := errors.AsType[*template.Refusal](err); ok && wrong.Code == template.CodeInvalid {
			return nil, err
		}
	}
	return variables, nil
}

// credentials reads one credential for each scheme of an API, encoded as they are
// kept. nil is one that is still to come. Those that have nothing of the user's may be
// left out.
func (o object) credentials(api *API) ([][]byte, error) {
	list := make([]json.RawMessage, len(api.Auth))
	if encoded, given := o["credentials"]; given {
		list = nil
		if json.Unmarshal(encoded, &list) != nil || len(list) != len(api.Auth) {
			return nil, errCredential
		}
	}
	kept := make([][]byte, len(list))
	for i, each := range list {
		var err error
		if kept[i], err = api.credential(i, each); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// credential checks what a client sends for a scheme, and encodes it as it is
// kept.
func (a *API) credential(scheme int, sent json.RawMessage) ([]byte, error) {
	if len(sent) == 0 || string(sent) == "null" {
		if !a.Auth[scheme].isUnattended() {
			return nil, nil
		}
		sent = json.RawMessage(`{"type":"` + a.Auth[scheme].Type + `"}`)
	}
	read, err := a.auth.Read(scheme, sent)
	if err != nil {
		if wrong, ok := errors.AsType[*credential.FieldError](err); ok {
			return nil, invalid("credential_invalid", "Credential "+strconv.Itoa(scheme)+": "+wrong.Error()+".")
		}
		return nil, errCredential
	}
	return read.Encode()
}

// updateMembers are those of a connection as it is shown, so that one can be sent
// back with changes. What of them says how it is now is not read.
var updateMembers = []string{
	"id", "name", "variables", "credentials", "connectorId", "organisationId", "status", "reason", "errors", "createdAt", "updatedAt",
}

// unchanged checks what an update repeats and cannot change.
func (o object) unchanged(api *API, c *vault.Connection) error {
	if _, given := o["id"]; !given {
		return errID
	}
	for member, is := range map[string]string{"id": c.ID, "connectorId": c.API, "organisationId": c.Owner} {
		if encoded, given := o[member]; given {
			if text, ok := strictjson.Text(encoded); !ok || text != is {
				return errID
			}
		}
	}
	encoded, given := o["credentials"]
	if !given {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(encoded, &list) != nil || len(list) != len(api.Auth) {
		return errImmutable
	}
	for i, each := range list {
		repeated, err := strictjson.Object(each)
		if err != nil || object(repeated).check([]string{"type", "missing"}) != nil {
			return errImmutable
		}
		if text, _ := strictjson.Text(repeated["type"]); text != api.Auth[i].Type {
			return errImmutable
		}
	}
	return nil
}

// page reads which connections are asked for.
func page(r *http.Request) (limit int, after, before string, err error) {
	query := r.URL.Query()
	limit = defaultPage
	if query.Has("first") {
		if limit, err = strconv.Atoi(query.Get("first")); err != nil || limit < 1 || limit > maxPage {
			return 0, "", "", errPageLimit
		}
	}
	after, before = query.Get("after"), query.Get("before")
	if after != "" && before != "" || !isCursor(after) || !isCursor(before) {
		return 0, "", "", errCursor
	}
	return limit, after, before, nil
}
