package main

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

const siteConnections = "connections"

// theConnection stands in requests for the id of a row's connection.
const theConnection = "{connection}"

// credentials are those of the APIs that are called, by name.
var credentials = map[string]string{
	"api_key": `{"type":"api_key","value":"5f0c8e1bd2a94b7e"}`,
	"oauth2": fmt.Sprintf(`{"type":"oauth2","access_token":"5f0c8e1bd2a94b7e","refresh_token":"d2a94b7e","expires_at":%d}`,
		time.Now().Add(24*time.Hour).Unix()),
}

// connections has an API for each kind of credential.
func connections(upstream string) object {
	base := "http://" + upstream
	return object{
		"handler": "connections", "public_url": "https://edge.example",
		"apis": object{
			"api_key": object{"base_url": base, "auth": []object{{"type": "api_key", "in": "header", "name": "X-Api-Key"}}},
			"oauth2": object{"base_url": base, "auth": []object{{
				"type":   "oauth2",
				"oauth2": object{"authorize_url": "https://as.example/authorize", "token_url": "https://as.example/token", "client_id": "edge"},
			}}},
		},
	}
}

// connect makes a connection to an API, and has requests name it.
func connect(addr, api string, requests [][]byte) ([][]byte, error) {
	var made struct {
		ID string `json:"id"`
	}
	url := fmt.Sprintf("http://%s/api/connect/v1/connectors/%s/connections", addr, api)
	body := fmt.Sprintf(`{"name":"bench","credentials":[%s]}`, credentials[api])
	if err := call(http.MethodPost, url, []byte(body), http.StatusCreated, &made); err != nil {
		return nil, err
	}
	named := make([][]byte, len(requests))
	for i, request := range requests {
		named[i] = bytes.ReplaceAll(request, []byte(theConnection), []byte(made.ID))
	}
	return named, nil
}

func connectionRows() []row {
	calling := side{siteConnections, get("/api/proxy/v1/" + theConnection + "/small"), smallBody}
	proxied := side{siteProxy, get("/small"), smallBody}
	return []row{
		{what: "connections, API key, 100 B", against: "reverse_proxy", a: calling, b: proxied, budget: budget{throughput: 1.10}, connected: "api_key"},
		{what: "connections, fresh OAuth2 token, 100 B", against: "reverse_proxy", a: calling, b: proxied, budget: budget{throughput: 1.10}, connected: "oauth2"},
	}
}
