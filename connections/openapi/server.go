package openapi

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/connections/template"
)

// server is a URL with variables.
type server struct {
	texts     []string // one more than there are variables
	variables []serverVariable
}

type serverVariable struct {
	name   string // as a template can have it
	config template.Variable
}

// maxFixed is of how many variables it is tried out which of them must be fixed.
const maxFixed = 6

// baseURL makes a template of the first server's URL. Variables that no template
// can have, such as a scheme, are fixed to their defaults.
func (s *source) baseURL() (string, []Variable) {
	servers := s.root.get("servers").elements()
	if len(servers) == 0 {
		s.add(Failure, "The document names no server: write the base_url.")
		return "", nil
	}
	s.otherServers(servers)
	raw := servers[0].get("url")
	if !strings.Contains(raw.text(), "://") {
		s.addAt(raw, Failure, "The URL of the server is relative to the document: write the base_url.", shown(raw.text()))
		return "", nil
	}
	from, err := s.server(servers[0])
	if err != nil {
		s.addAt(raw, Failure, "The URL of the server cannot be the base_url: "+err.Error()+".", shown(raw.text()))
		return "", nil
	}
	var first error
	for _, fixed := range from.choices() {
		parsed, base, variables, err := from.template(fixed)
		if err == nil {
			s.describe(raw, parsed, variables, from, fixed)
			return base, variables
		}
		if first == nil {
			first = err
		}
	}
	s.addAt(raw, Failure, "The URL of the server cannot be the base_url: "+clean(first)+".", shown(raw.text()))
	return "", nil
}

// clean is the text of an error that may quote the document.
func clean(err error) string {
	return strings.Trim(strings.ReplaceAll(shown(err.Error()), `\"`, "'"), `"`)
}

func (s *source) otherServers(servers []*node) {
	if len(servers) > 1 {
		var others []string
		for _, other := range servers[1:] {
			others = append(others, shown(other.get("url").text()))
		}
		s.add(Info, "The document names more than one server; the base_url is of the first.", others...)
	}
	s.operations(func(path string, item *node, _ string, operation *node) {
		if item.get("servers") != nil || operation.get("servers") != nil {
			s.add(Warning, "Some operations have servers of their own, which the base_url is not of.")
		}
	})
}

// server splits the URL at its variables.
func (s *source) server(n *node) (*server, error) {
	text := strings.TrimRight(n.get("url").text(), "/")
	from := &server{}
	for {
		before, rest, open := strings.Cut(text, "{")
		from.texts = append(from.texts, before)
		if strings.Contains(before, "}") {
			return nil, fmt.Errorf("its braces are not in pairs")
		}
		if !open {
			return from, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("its braces are not in pairs")
		}
		if len(from.variables) == 32 {
			return nil, fmt.Errorf("it has too many variables")
		}
		from.variables = append(from.variables, s.serverVariable(name, s.resolve(n.get("variables").get(name))))
		text = after
	}
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

func (s *source) serverVariable(name string, n *node) serverVariable {
	v := serverVariable{name: notInName.ReplaceAllString(name, "_")}
	if !template.IsName(v.name) {
		v.name = "v" + v.name[:min(len(v.name), 32)]
	}
	v.config.Default = n.get("default").literal()
	var values []string
	for _, value := range n.get("enum").elements() {
		values = append(values, regexp.QuoteMeta(value.literal()))
	}
	v.config.Pattern = strings.Join(values, "|")
	return v
}

// choices are sets of variables that are fixed to their defaults, as bits, the
// smallest first.
func (f *server) choices() []uint64 {
	all := uint64(1)<<len(f.variables) - 1
	if len(f.variables) > maxFixed {
		return []uint64{0, all}
	}
	var sets []uint64
	for set := range all + 1 {
		sets = append(sets, set)
	}
	slices.SortStableFunc(sets, func(a, b uint64) int { return bits.OnesCount64(a) - bits.OnesCount64(b) })
	return sets
}

// template makes a template, in which some variables are fixed.
func (f *server) template(fixed uint64) (*template.Template, string, []Variable, error) {
	var b strings.Builder
	config := make(map[string]template.Variable)
	var variables []Variable
	for i, v := range f.variables {
		b.WriteString(f.texts[i])
		if fixed&(1<<i) != 0 {
			if v.config.Default == "" || strings.ContainsAny(v.config.Default, "{}") {
				return nil, "", nil, fmt.Errorf("the variable %s has no default that could stand there", shown(v.name))
			}
			b.WriteString(v.config.Default)
			continue
		}
		b.WriteString("{{" + v.name + "}}")
		if other, ok := config[v.name]; ok && other != v.config {
			return nil, "", nil, fmt.Errorf("two variables would have the name %s", shown(v.name))
		} else if !ok {
			config[v.name] = v.config
			variables = append(variables, Variable{v.name, v.config.Default, v.config.Pattern})
		}
	}
	b.WriteString(f.texts[len(f.texts)-1])
	base := strings.TrimRight(b.String(), "/")
	parsed, err := template.Parse(base, config)
	return parsed, base, variables, err
}

// describe says what a user should know of a base URL.
func (s *source) describe(at *node, parsed *template.Template, variables []Variable, from *server, fixed uint64) {
	if parsed.Scheme() != "https" {
		s.addAt(at, Warning, "The base_url is not of https: credentials are sent in clear.")
	}
	var constant, defaults []string
	for i, v := range from.variables {
		if fixed&(1<<i) != 0 {
			constant = append(constant, shown(v.name)+" is "+shown(v.config.Default))
		}
	}
	if len(constant) > 0 {
		s.addAt(at, Info, "Variables that the base_url cannot have are fixed to their defaults.", constant...)
	}
	for _, v := range variables {
		if v.Default != "" && v.Pattern == "" {
			defaults = append(defaults, shown(v.Name)+" is "+shown(v.Default))
		}
	}
	if len(defaults) > 0 {
		s.addAt(at, Info, "Variables have the document's defaults. Remove those that are examples: each connection then needs a value of its own.", defaults...)
	}
}
