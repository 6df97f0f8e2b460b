package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// alternative is a set of schemes that are used together.
type alternative []requirement

type requirement struct {
	name   string
	scopes []string
}

func (a alternative) String() string {
	if len(a) == 0 {
		return "no credentials"
	}
	names := make([]string, len(a))
	for i, r := range a {
		names[i] = shown(r.name)
	}
	return strings.Join(names, " and ")
}

const (
	maxAlternatives = 20
	maxTogether     = 8
)

// auth returns the schemes of the first alternative that can be had: none, where
// the API takes no credentials. An alternative without any comes last.
func (s *source) auth() []Auth {
	alternatives := s.alternatives()
	slices.SortStableFunc(alternatives, func(a, b alternative) int { return min(len(b), 1) - min(len(a), 1) })
	if len(alternatives) == 0 || len(alternatives[0]) == 0 {
		s.add(Info, "The document asks for no credentials.")
		return []Auth{{Type: "none"}}
	}
	chosen, best := 0, s.schemes(alternatives[0])
	for i := 1; i < len(alternatives) && !best.complete && len(alternatives[i]) > 0; i++ {
		if other := s.schemes(alternatives[i]); other.complete || len(best.auth) == 0 && len(other.auth) > 0 {
			chosen, best = i, other
		}
	}
	var others []string
	for i, a := range alternatives {
		if i != chosen {
			others = append(others, a.String())
		}
	}
	if len(others) > 0 {
		s.add(Info, fmt.Sprintf("The API takes more than one kind of credentials; auth is %s.", alternatives[chosen]), others...)
	}
	s.list = append(s.list, best.list...)
	if len(best.auth) == 0 {
		s.add(Failure, "None of the document's kinds of credentials can be used: write the auth.")
	}
	return best.auth
}

// alternatives are those of the whole document, or else those that most of its
// operations have.
func (s *source) alternatives() []alternative {
	if global := s.root.get("security"); global != nil {
		return readAlternatives(global)
	}
	if most := s.mostCommon(); most != nil {
		s.addAt(most, Warning, "The document has no security for all operations; auth is that of most of them.")
		return readAlternatives(most)
	}
	// declared, and asked for nowhere
	var declared []alternative
	for _, m := range s.root.get("components").get("securitySchemes").all() {
		if len(declared) < maxAlternatives {
			declared = append(declared, alternative{{name: m.name}})
		}
	}
	if len(declared) > 0 {
		s.add(Warning, "The document says of no operation which credentials it needs; auth is of the schemes that it declares.")
	}
	return declared
}

// mostCommon returns the security that most operations have, or nil.
func (s *source) mostCommon() *node {
	counts := make(map[string]int)
	keys := make(map[*node]string) // one security may be that of many operations
	var first []*node              // with their keys
	s.operations(func(_ string, _ *node, _ string, operation *node) {
		security := operation.get("security")
		if len(security.elements()) == 0 {
			return
		}
		key, known := keys[security]
		if !known {
			key = fmt.Sprint(readAlternatives(security))
			keys[security] = key
			if counts[key] == 0 {
				first = append(first, security)
			}
		}
		counts[key]++
	})
	if len(first) == 0 {
		return nil
	}
	return slices.MaxFunc(first, func(a, b *node) int { return counts[keys[a]] - counts[keys[b]] })
}

func readAlternatives(security *node) []alternative {
	var all []alternative
	alternatives := security.elements()
	for _, n := range alternatives[:min(len(alternatives), maxAlternatives)] {
		var together alternative
		members := n.all()
		for _, m := range members[:min(len(members), maxTogether)] {
			r := requirement{name: m.name}
			scopes := m.value.elements()
			for _, scope := range scopes[:min(len(scopes), maxScopes)] {
				r.scopes = append(r.scopes, scope.text())
			}
			together = append(together, r)
		}
		all = append(all, together)
	}
	return all
}

// schemes is what can be had of an alternative, and what is to be said of it.
type schemes struct {
	*source
	messages
	auth     []Auth
	complete bool
	checked  []credential.Scheme
}

func (s *source) schemes(together alternative) *schemes {
	made := &schemes{source: s, complete: true}
	for _, r := range together {
		n := s.resolve(s.root.get("components").get("securitySchemes").get(r.name))
		auth, scheme := made.scheme(n, r)
		if scheme == nil {
			made.complete = false
			continue
		}
		checked := append(slices.Clone(made.checked), scheme)
		if _, err := credential.New(checked...); err != nil {
			made.messages.addAt(n, Warning, "A security scheme is left out: "+clean(err)+".", shown(r.name))
			made.complete = false
			continue
		}
		made.checked = checked
		made.auth = append(made.auth, auth)
	}
	return made
}

// scheme returns what a security scheme is here, or nil.
func (m *schemes) scheme(n *node, r requirement) (Auth, credential.Scheme) {
	no := func(why string) (Auth, credential.Scheme) {
		m.messages.addAt(n, Warning, "A security scheme is left out: "+why+".", shown(r.name))
		return Auth{}, nil
	}
	switch n.get("type").text() {
	case "":
		return no("it is not in the document, or has no type")
	case "apiKey":
		in, name := n.get("in").text(), n.get("name").text()
		return Auth{Type: "api_key", In: in, Name: name}, credential.APIKey{Place: credential.Place{In: in, Name: name}}
	case "http":
		switch scheme := strings.ToLower(n.get("scheme").text()); scheme {
		case "basic":
			return Auth{Type: "basic"}, credential.Basic{}
		case "bearer":
			return Auth{Type: "bearer"}, credential.Bearer{}
		default:
			return no("the HTTP scheme " + shown(scheme) + " is not supported")
		}
	case "oauth2":
		config, why := m.oauth2(n.get("flows"), r.scopes)
		if why != "" {
			return no(why)
		}
		return Auth{Type: "oauth2", OAuth2: config}, credential.OAuth2{}
	case "openIdConnect":
		return no("OpenID Connect has its URLs in another document; write them into auth oauth2")
	case "mutualTLS":
		m.messages.addAt(n, Info, "Each connection has a client certificate of its own.", shown(r.name))
		return Auth{Type: "certificate"}, credential.Certificate{}
	}
	return no("its type " + shown(n.get("type").text()) + " is not known")
}
