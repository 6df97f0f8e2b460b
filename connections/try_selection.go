package connections

import (
	"encoding/json"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/f737063d/caddy-connector/connections/openapi"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// selected is an operation that is to be called, with values of its parameters.
type selected struct {
	openapi.Operation
	given map[string]string
}

// isSafe reports whether a call of the operation asks for nothing but an answer.
func (s selected) isSafe() bool { return s.Method == http.MethodGet || s.Method == http.MethodHead }

// operations returns those that the body names, or all.
func (o object) operations(of *openapi.Document) (iter.Seq[selected], error) {
	encoded, given := o["operations"]
	if !given {
		return all(of), nil
	}
	var list []json.RawMessage
	if json.Unmarshal(encoded, &list) != nil || len(list) == 0 || len(list) > maxCalled {
		return nil, errOperations
	}
	named := make([]selected, len(list))
	for i, each := range list {
		var wrong *refusal
		if named[i], wrong = readOperation(each, of); wrong != nil {
			return nil, wrong.about("operations[" + strconv.Itoa(i) + "]")
		}
	}
	return func(yield func(selected) bool) {
		for _, s := range named {
			if !yield(s) {
				return
			}
		}
	}, nil
}

func all(of *openapi.Document) iter.Seq[selected] {
	return func(yield func(selected) bool) {
		for o := range of.Operations() {
			if !yield(selected{Operation: o}) {
				return
			}
		}
	}
}

// readOperation reads one that is named by its id, or by its method and path.
func readOperation(encoded json.RawMessage, of *openapi.Document) (s selected, wrong *refusal) {
	members, err := strictjson.Object(encoded)
	if err != nil {
		return s, errOperations
	}
	id, byID := strictjson.Text(members["operation_id"])
	method, byMethod := strictjson.Text(members["method"])
	path, byPath := strictjson.Text(members["path"])
	names := []string{"operation_id", "parameters"}
	if !byID {
		names = []string{"method", "path", "parameters"}
	}
	if object(members).check(names) != nil || byMethod != byPath || !byID && !byPath || byID && id == "" {
		return s, errOperations
	}
	found := false
	for s.Operation = range of.Operations() {
		if found = byID && s.ID == id || byPath && s.Path == path && s.Method == strings.ToUpper(method); found {
			break
		}
	}
	if !found {
		return s, errOperation
	}
	if parameters, given := members["parameters"]; given {
		s.given, wrong = readParameters(parameters, s.Operation)
	}
	return s, wrong
}

func readParameters(encoded json.RawMessage, of openapi.Operation) (map[string]string, *refusal) {
	members, err := strictjson.Object(encoded)
	if err != nil {
		return nil, errParameters
	}
	given := make(map[string]string, len(members))
	for name, member := range members {
		value, ok := strictjson.Text(member)
		if !ok || !of.Takes(name) || !openapi.IsValue(value) {
			return nil, errParameters
		}
		given[name] = value
	}
	return given, nil
}
