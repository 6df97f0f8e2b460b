package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What a body may have that is checked, and how long that takes.
const (
	MaxBody       = 1 << 20 // bytes
	maxBodyDepth  = 64
	maxBodyParts  = 100_000
	maxNumber     = 64  // characters
	maxExponent   = 308 // as in a float64
	maxSteps      = 200_000
	maxTime       = time.Second
	definitionURL = "openapi:///"
)

// checker holds bodies to schemas. They are compiled when they are first asked
// for, each from a resource of its own.
type checker struct {
	mu       sync.Mutex // over what follows
	compiler *jsonschema.Compiler
	steps    int
	until    time.Time
}

// errUnchecked is for a body whose check would take too long.
var errUnchecked = errors.New("the body is not checked")

// violations returns what is wrong with a decoded body, by a schema.
func (s *schemas) violations(schema string, body any) (wrong *jsonschema.ValidationError, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if recover() != nil { // step's, or the library's
			wrong, err = nil, errUnchecked
		}
	}()
	if s.compiler == nil {
		s.compiler = s.newCompiler()
	}
	compiled, err := s.compiler.Compile(definitionURL + schema)
	if err != nil {
		return nil, errUnchecked
	}
	s.steps, s.until = 0, time.Now().Add(maxTime)
	wrong, _ = errors.AsType[*jsonschema.ValidationError](compiled.Validate(body))
	return wrong, nil
}

// counted is a keyword in each schema that is made here, by which the steps of a
// check are counted: schemas that refer to themselves more than once are
// applied more often than a body has parts.
const counted = "x-counted"

func (s *schemas) newCompiler() *jsonschema.Compiler {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(s)
	compiler.AssertVocabs()
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{
		URL: definitionURL + "vocabulary",
		Compile: func(_ *jsonschema.CompilerContext, schema map[string]any) (jsonschema.SchemaExt, error) {
			if schema[counted] == nil {
				return nil, nil
			}
			return step{s}, nil
		},
	})
	return compiler
}

// Load implements jsonschema.URLLoader. Nothing but definitions is loaded.
func (s *schemas) Load(url string) (any, error) {
	if name, ok := strings.CutPrefix(url, definitionURL); ok {
		if definition, ok := s.definitions[name]; ok {
			return definition, nil
		}
	}
	return nil, errors.New("it is not in the document")
}

type step struct{ *schemas }

// Validate implements jsonschema.SchemaExt. The library has no other way out of
// a check.
func (s step) Validate(*jsonschema.ValidatorContext, any) {
	if s.steps++; s.steps > maxSteps || s.steps%1024 == 0 && time.Now().After(s.until) {
		panic(errUnchecked)
	}
}

// decodeBody reads JSON that can be checked in a bounded time.
func decodeBody(body []byte) (decoded any, isJSON, ok bool) {
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, false, true
	}
	return decoded, true, checkable(decoded, 1, new(int))
}

func checkable(value any, depth int, parts *int) bool {
	if *parts++; depth > maxBodyDepth || *parts > maxBodyParts {
		return false
	}
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			if !checkable(member, depth+1, parts) {
				return false
			}
		}
	case []any:
		for _, element := range value {
			if !checkable(element, depth+1, parts) {
				return false
			}
		}
	case json.Number:
		return checkableNumber(string(value))
	}
	return true
}

func checkableNumber(number string) bool {
	if len(number) > maxNumber {
		return false
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

// Interface guards
var (
	_ jsonschema.URLLoader = (*schemas)(nil)
	_ jsonschema.SchemaExt = step{}
)
