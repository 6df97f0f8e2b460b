package subscriptions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestCaddyfile(t *testing.T) {
	for name, test := range map[string]struct{ caddyfile, want string }{
		"least": {
			"subscriptions {\nevent_types task.create\nresource task {\npublic\n}\n}",
			`{"event_types":{"task.create":{}},"handler":"subscriptions","resources":{"task":{"public":true}}}`,
		},
		"all": {
			`subscriptions {
				prefix /api
				user {http.reverse_proxy.header.X-User}
				event_type task.create {
					description "A task was created"
					schema schemas/task.create.json
					sample samples/task.create.json
				}
				event_types task.update
				event_type task.delete
				resource project {
					from https://app.internal/api/projects
					id key
					value name
				}
				resource task {
					public
				}
				max_per_owner 7
				max_body 1KiB
				allow_http
				signature {
					headers X-Id X-At X-Sum
					hub
				}
				origin edge.example.com
			}`,
			`{"allow_http":true,"event_types":{"task.create":{"description":"A task was created","sample":"samples/task.create.json","schema":"schemas/task.create.json"},"task.delete":{},"task.update":{}},"handler":"subscriptions","max_body":1024,"max_per_owner":7,"origin":"edge.example.com",` +
				`"prefix":"/api","resources":{"project":{"from":"https://app.internal/api/projects","id":"key","value":"name"},"task":{"public":true}},` +
				`"signature":{"headers":["X-Id","X-At","X-Sum"],"hub":true},"user":"{http.reverse_proxy.header.X-User}"}`,
		},
		"publish": {"publish_events", `{"handler":"publish_events"}`},
		"publish all": {
			"publish_events {\npath /push\nuser {http.x}\nmax_body 2MiB\nmax_events 7\nmax_data 1KiB\n}",
			`{"handler":"publish_events","max_body":2097152,"max_data":1024,"max_events":7,"path":"/push","user":"{http.x}"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := adapt(":80 {\n" + test.caddyfile + "\n}\n")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(config), `"handle":[`+test.want+`]`) {
				t.Errorf("got %s\nwant %s", config, test.want)
			}
		})
	}
}

func TestCaddyfileErrors(t *testing.T) {
	const rest = "\nevent_types a\nresource a {\npublic\n}\n"
	for _, test := range [][2]string{
		{"subscriptions", "'event_types' is required, at Caddyfile:2"},
		{"subscriptions {\nevent_types a\n}", "'resource' is required, at Caddyfile:2"},
		{"subscriptions * /x {" + rest + "}", "wrong argument count"},
		{"subscriptions {\nother" + rest + "}", "unrecognized subdirective 'other'"},
		{"subscriptions {\nprefix x" + rest + "}", "'x' is not a path"},
		{"subscriptions {\nprefix /x/" + rest + "}", "'/x/' is not a path"},
		{"subscriptions {\nprefix //x" + rest + "}", "'//x' is not a path"},
		{"subscriptions {\nprefix /x/../y" + rest + "}", "is not a path"},
		{"subscriptions {\nprefix /x /y" + rest + "}", "wrong argument count"},
		{"subscriptions {\nprefix /x\nprefix /x" + rest + "}", "duplicate subdirective 'prefix'"},
		{"subscriptions {\nevent_types" + rest + "}", "wrong argument count"},
		{"subscriptions {\nevent_types a.*\n}", "'a.*' is not a type of events"},
		{"subscriptions {\nevent_types a b a\n}", "duplicate type 'a'"},
		{"subscriptions {\nevent_types b" + rest + "}", "duplicate subdirective 'event_types'"},
		{"subscriptions {\nevent_types b {\nx\n}\n}", "'event_types' takes no block"},
		{"subscriptions {\nevent_type" + rest + "}", "wrong argument count"},
		{"subscriptions {\nevent_type b c" + rest + "}", "wrong argument count"},
		{"subscriptions {\nevent_type a" + rest + "}", "duplicate type 'a'"},
		{"subscriptions {\nevent_type b\nevent_type b" + rest + "}", "duplicate type 'b'"},
		{"subscriptions {\nevent_type b.*" + rest + "}", "'b.*' is not a type of events"},
		{"subscriptions {\nevent_type b {\nother\n}" + rest + "}", "unrecognized subdirective 'other'"},
		{"subscriptions {\nevent_type b {\ndescription two words\n}" + rest + "}", "wrong argument count"},
		{"subscriptions {\nevent_type b {\nschema\n}" + rest + "}", "wrong argument count"},
		{"subscriptions {\nevent_type b {\nschema x\nschema x\n}" + rest + "}", "duplicate subdirective 'schema'"},
		{"subscriptions {\nevent_type b {\nsample x {\ny\n}\n}" + rest + "}", "'sample' takes no block"},
		{"subscriptions {\nresource" + rest + "}", "wrong argument count"},
		{"subscriptions {\nresource a b" + rest + "}", "wrong argument count"},
		{"subscriptions {\nresource a/b" + rest + "}", "a name has 1 to 64 letters"},
		{"subscriptions {\nresource a {\npublic\n}" + rest + "}", "duplicate resource 'a'"},
		{"subscriptions {\nresource b {\nfrom x\n}" + rest + "}", "from 'x' is not an http or https URL"},
		{"subscriptions {\nresource b {\nid x\nid y\n}" + rest + "}", "duplicate subdirective 'id'"},
		{"subscriptions {\nresource b {\nlabel x\n}" + rest + "}", "unrecognized subdirective 'label'"},
		{"subscriptions {\nmax_per_owner 0" + rest + "}", "max_per_owner '0' is not a number above zero"},
		{"subscriptions {\nmax_per_owner x" + rest + "}", "max_per_owner 'x' is not a number above zero"},
		{"subscriptions {\nmax_per_owner 1\nmax_per_owner 1" + rest + "}", "duplicate subdirective 'max_per_owner'"},
		{"subscriptions {\nmax_body x" + rest + "}", "max_body 'x' is not a size above zero"},
		{"subscriptions {\nallow_http on" + rest + "}", "wrong argument count"},
		{"subscriptions {\nresource subscription" + rest + "}", "this name is reserved"},
		{"subscriptions {\nresource connection" + rest + "}", "this name is reserved"},
		{"subscriptions {\nsignature hub" + rest + "}", "wrong argument count"},
		{"subscriptions {\nsignature {\nother\n}" + rest + "}", "unrecognized subdirective 'other'"},
		{"subscriptions {\nsignature {\nhub\nhub\n}" + rest + "}", "duplicate subdirective 'hub'"},
		{"subscriptions {\nsignature {\nhub on\n}" + rest + "}", "wrong argument count"},
		{"subscriptions {\nsignature {\nheaders X-Id X-At\n}" + rest + "}", "wrong argument count"},
		{"subscriptions {\nsignature {\nheaders X-Id X-At X-Sum X\n}" + rest + "}", "wrong argument count"},
		{"subscriptions {\nsignature {\nheaders X-Id X-At x-id\n}" + rest + "}", "stands for two fields"},
		{"subscriptions {\nsignature {\nheaders X-Id X_At X-Sum\n}" + rest + "}", "only letters, digits and hyphens"},
		{"subscriptions {\nsignature {\nheaders X-Id Content-Type X-Sum\n}" + rest + "}", "'Content-Type' is for something else"},
		{"subscriptions {\nsignature {\nheaders X-Id Webhook-Event-Type X-Sum\n}" + rest + "}", "'Webhook-Event-Type' is for something else"},
		{"subscriptions {\nsignature {\nheaders a b c\nheaders a b c\n}" + rest + "}", "duplicate subdirective 'headers'"},
		{"subscriptions {\nsignature {\nheaders a b c {\nx\n}\n}" + rest + "}", "'headers' takes no block"},
		{"subscriptions {\nsignature {\nhub\n}\nsignature {\nhub\n}" + rest + "}", "duplicate subdirective 'signature'"},
		{"subscriptions {\norigin https://x" + rest + "}", "origin 'https://x' is not a DNS name"},
		{"subscriptions {\norigin a\norigin a" + rest + "}", "duplicate subdirective 'origin'"},
		{"publish_events * x", "wrong argument count"},
		{"publish_events {\npath x\n}", "'x' is not a path"},
		{"publish_events {\nmax_events -1\n}", "max_events '-1' is not a number above zero"},
		{"publish_events {\nmax_data 0\n}", "max_data '0' is not a size above zero"},
		{"publish_events {\nother\n}", "unrecognized subdirective 'other'"},
	} {
		if _, err := adapt(":80 {\n" + test[0] + "\n}\n"); err == nil || !strings.Contains(err.Error(), test[1]) {
			t.Errorf("%q: %v, want %s", test[0], err, test[1])
		}
	}
}

// The same errors, where a config is written in JSON.
func TestInvalidJSON(t *testing.T) {
	for handler, want := range map[string]string{
		`{"handler":"subscriptions"}`:                                                                                                      "event_types is required",
		`{"handler":"subscriptions","event_types":{"a":{}}}`:                                                                               "at least one resource is required",
		`{"handler":"subscriptions","event_types":{"A":{}},"resources":{"a":{"public":true}}}`:                                             "'A' is not a type",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a b":{"public":true}}}`:                                           "a name has 1 to 64 letters",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":null}}`:                                                        "resource 'a' is null",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"from":"x"}}}`:                                                "resource 'a': from: the URL must begin with http",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"prefix":"x"}`:                                "prefix: 'x' is not a path",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"user":"alice"}`:                              "is not a placeholder",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"max_body":-1}`:                               "max_body is negative",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"max_per_owner":-1}`:                          "max_per_owner is negative",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"no_such_field":1}`:                           "no_such_field",
		`{"handler":"subscriptions","event_types":{"a":null},"resources":{"a":{"public":true}}}`:                                           "event type 'a' is null",
		`{"handler":"publish_events","path":"x"}`:                                                                                          "path: 'x' is not a path",
		`{"handler":"publish_events","user":"alice"}`:                                                                                      "is not a placeholder",
		`{"handler":"publish_events","max_body":-1}`:                                                                                       "max_body is negative",
		`{"handler":"publish_events","max_events":-1}`:                                                                                     "max_events is negative",
		`{"handler":"publish_events","max_data":-1}`:                                                                                       "max_data is negative",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}}},{"handler":"publish_events","path":"/push"}`: "",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"subscription":{}}}`:                                               "this name is reserved",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"origin":"X"}`:                                "is not a DNS name",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"signature":{"headers":["a"]}}`:               "headers takes the names",
		`{"handler":"subscriptions","event_types":{"a":{}},"resources":{"a":{"public":true}},"signature":{"headers":["a","te","c"]}}`:      "'te' is for something else",
	} {
		config := `{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{"connector":{"database":{"path":"` + t.TempDir() + `/db"}},"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[` + handler + `]}]}}}}}`
		if !json.Valid([]byte(config)) {
			t.Fatal(config)
		}
		parsed := new(caddy.Config)
		err := json.Unmarshal([]byte(config), parsed)
		if err == nil {
			err = caddy.Validate(parsed)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", handler, err, want)
		}
	}
}
