package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/f737063d/caddy-connector"
	_ "github.com/f737063d/caddy-connector/subscriptions"
)

// The sites of the Caddy under test.
const (
	siteProxy         = "reverse_proxy"
	siteProxyAgain    = "reverse_proxy-again"
	siteOne           = "connector-1"
	siteMany          = "connector-10000"
	siteRespond       = "respond"
	siteSecretRespond = "proxy_secret-respond"
	siteSecretProxy   = "proxy_secret-reverse_proxy"
	siteProxyHTTP1    = "reverse_proxy-tls-http1"
	siteProxyHTTP2    = "reverse_proxy-tls-http2"
	siteChannelHTTP1  = "any_channel-http1"
	siteChannelHTTP2  = "any_channel-http2"
	siteEvents        = "publish_events"
	siteAccept        = "accept"
)

const (
	manyServices = 10_000
	userID       = "alice"
	proxySecret  = "b7c64b3c0b0d4f6e9a2f5f5e0c3d1a79"
)

func serviceID(n int) string { return fmt.Sprintf("service-%05d", n) }

func init() {
	caddy.RegisterModule(alice{})
	caddy.RegisterModule(accept{})
}

// alice is an authentication provider: every request is hers.
type alice struct{}

// CaddyModule returns the Caddy module information.
func (alice) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.authentication.providers.bench",
		New: func() caddy.Module { return new(alice) },
	}
}

// Authenticate implements caddyauth.Authenticator.
func (alice) Authenticate(http.ResponseWriter, *http.Request) (caddyauth.User, bool, error) {
	return caddyauth.User{ID: userID}, true, nil
}

// accept is the least that could take an event: it reads the body and answers
// 202, with as many bytes as publish_events.
type accept struct{}

// CaddyModule returns the Caddy module information.
func (accept) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bench_accept",
		New: func() caddy.Module { return new(accept) },
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (accept) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(accepted(0))))
	w.WriteHeader(http.StatusAccepted)
	_, err := w.Write(accepted(0))
	return err
}

// startCaddy runs sites, with the given upstream behind those that proxy, and
// the given database. It returns the sites' addresses.
func startCaddy(upstream Upstream, db database, sites ...string) (addrs []string, stop func(), err error) {
	// nothing of the machine's own Caddy is read or written
	dir, err := os.MkdirTemp("", "connector-bench")
	if err != nil {
		return nil, nil, err
	}
	end := func() {
		_ = caddy.Stop()
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		if err := os.Setenv(name, dir); err != nil {
			return nil, nil, err
		}
	}
	config, addrs, err := caddyConfig(upstream, db, dir, sites)
	if err != nil {
		return nil, nil, err
	}
	if err := caddy.Load(config, true); err != nil {
		return nil, nil, fmt.Errorf("starting caddy: %w", err)
	}
	return addrs, end, nil
}

// object is a JSON object.
type object = map[string]any

// handlers returns what a site does with a request.
func handlers(site string, upstream Upstream) []object {
	proxy := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": upstream.Plain}}}
	respond := object{"handler": "static_response", "status_code": 200, "body": string(body(smallBody))}
	signedIn := authentication("bench", object{})
	checked := authentication("proxy_secret", object{"secrets": []string{proxySecret}})

	switch site {
	case siteProxy, siteProxyAgain:
		return []object{proxy}
	case siteOne:
		return []object{signedIn, connector(upstream.Plain, 1)}
	case siteMany:
		return []object{signedIn, connector(upstream.Plain, manyServices)}
	case siteRespond:
		return []object{respond}
	case siteSecretRespond:
		return []object{checked, respond}
	case siteSecretProxy:
		return []object{checked, proxy}
	case siteProxyHTTP1:
		return []object{proxyOverTLS(upstream.HTTP1, upstream)}
	case siteProxyHTTP2:
		return []object{proxyOverTLS(upstream.HTTP2, upstream)}
	case siteChannelHTTP1:
		return []object{signedIn, anyChannel(upstream.HTTP1)}
	case siteChannelHTTP2:
		return []object{signedIn, anyChannel(upstream.HTTP2)}
	case siteEvents:
		return []object{signedIn, subscriptions(), {"handler": "publish_events"}}
	case siteConnections:
		return []object{signedIn, connections(upstream.Plain)}
	case siteAccept:
		return []object{{"handler": "bench_accept"}}
	}
	panic("no such site: " + site)
}

// caddyConfig returns the config of sites, and their addresses.
func caddyConfig(upstream Upstream, db database, dir string, sites []string) (config []byte, addrs []string, err error) {
	servers := make(object)
	for _, site := range sites {
		addr, err := freeAddr()
		if err != nil {
			return nil, nil, err
		}
		addrs = append(addrs, addr)
		servers[site] = object{
			"listen":          []string{addr},
			"automatic_https": object{"disable": true},
			"routes":          []object{{"handle": handlers(site, upstream)}},
		}
	}
	config, err = json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"storage": object{"module": "file_system", "root": dir},
		"apps": object{
			"http":      object{"servers": servers},
			"connector": db.addTo(object{"egress": object{"allow": []string{"127.0.0.0/8"}, "trust_pool": trust(upstream)}}, dir),
		},
	})
	return config, addrs, err
}

func authentication(provider string, config object) object {
	return object{"handler": "authentication", "providers": object{provider: config}}
}

func connector(upstream string, services int) object {
	byID := make(object, services)
	for n := range services {
		byID[serviceID(n)] = object{"proxy_url": "http://" + upstream, "proxy_secret": proxySecret}
	}
	return object{"handler": "connector", "services": byID}
}

// trust is a pool with the upstream's certificate.
func trust(upstream Upstream) object {
	return object{"provider": "inline", "trusted_ca_certs": [][]byte{upstream.Certificate}}
}

func proxyOverTLS(addr string, upstream Upstream) object {
	return object{
		"handler": "reverse_proxy", "upstreams": []object{{"dial": addr}},
		"transport": object{"protocol": "http", "tls": object{"ca": trust(upstream)}},
	}
}

// anyChannel posts to the service at an address.
func anyChannel(addr string) object {
	return object{
		"handler":      "any_channel",
		"integrations": object{"bench": object{"manifest": "https://" + addr + "/manifest.json", "poll": -1}},
		"instances":    object{"bench": object{"integration": "bench", "metadata": `{"token":"` + proxySecret + `"}`}},
		"tickets":      []object{{"source": "static", "tickets": object{"62": object{"instance": "bench"}}}},
	}
}

func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
