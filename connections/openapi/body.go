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
	maxNested     = 1000
	definitionURL = "openapi:///"
)

// checker holds bodies to schemas. They are compiled when they are first asked
// for, each alone: the time that takes grows with the square of a schema's size.
type checker struct {
	mu       sync.Mutex // over what follows
	compiler *jsonschema.Compiler
	steps    int
	until    time.Time
	followed map[reference]bool // those that are being followed
}

// reference is a definition that a value is held to. The values of those that are
// being followed are in each other, so that the depth says which one it is.
type reference struct {
	definition string
	depth      int
}

// errUnchecked is for a body whose check would take too long.
var errUnchecked = errors.New("the body is not checked")

// violations returns what is wrong with a decoded body, by a schema.
func (s *schemas) violations(schema string, body any) (wrong *jsonschema.ValidationError, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if recover() != nil { // that of spend, or the library's
			wrong, err = nil, errUnchecked
		}
	}()
	s.steps, s.until = 0, time.Now().Add(maxTime)
	s.followed = map[reference]bool{{schema, 0}: true}
	wrong, _ = errors.AsType[*jsonschema.ValidationError](s.compile(schema).Validate(body))
	return wrong, nil
}

func (s *schemas) compile(name string) *jsonschema.Schema {
	if s.compiler == nil {
		s.compiler = jsonschema.NewCompiler()
		s.compiler.DefaultDraft(jsonschema.Draft2020)
		s.compiler.UseLoader(s)
		s.compiler.AssertVocabs()
		s.compiler.RegisterVocabulary(&jsonschema.Vocabulary{URL: definitionURL + "vocabulary", Compile: s.compileStep})
	}
	compiled, err := s.compiler.Compile(definitionURL + name)
	if err != nil {
		panic(errUnchecked)
	}
	return compiled
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

// The keyword in each schema that is made here. It counts the steps of a check,
// since schemas that refer to themselves more than once are applied more often
// than a body has parts; and it follows the reference whose name it has, or "".
const keyword = "x-definition"

type step struct {
	*schemas
	definition string
}

func (s *schemas) compileStep(_ *jsonschema.CompilerContext, schema map[string]any) (jsonschema.SchemaExt, error) {
	definition, ok := schema[keyword].(string)
	if !ok {
		return nil, nil
	}
	return step{s, definition}, nil
}

// Validate implements jsonschema.SchemaExt.
func (s step) Validate(to *jsonschema.ValidatorContext, value any) {
	s.spend(1)
	at := reference{s.definition, len(to.ValueLocation())}
	if s.definition == "" || s.followed[at] { // of a cycle, one round says all
		return
	}
	if len(s.followed) > maxNested {
		panic(errUnchecked)
	}
	s.followed[at] = true
	compiled := s.compile(s.definition)
	s.spend(0)
	to.AddErr(to.Validate(compiled, value, nil))
	delete(s.followed, at)
}

// spend ends a check that has had enough. The library has no other way out.
func (s *schemas) spend(steps int) {
	s.steps += steps
	if s.steps > maxSteps || (steps == 0 || s.steps%1024 == 0) && time.Now().After(s.until) {
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
