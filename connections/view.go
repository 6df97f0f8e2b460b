package connections

import (
	"maps"
	"slices"
	"time"

	"github.com/f737063d/caddy-connector/connections/vault"
)

// variableView is a variable with its value. The order is that of the names.
type variableView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func viewVariables(variables map[string]string) []variableView {
	shown := make([]variableView, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		shown = append(shown, variableView{name, variables[name]})
	}
	return shown
}

// credentialView is a scheme of a connection's API. No answer has a credential.
type credentialView struct {
	Type    string `json:"type"`
	Missing bool   `json:"missing,omitempty"`
}

func (a *API) viewCredentials(c *vault.Connection) []credentialView {
	shown := make([]credentialView, len(a.Auth))
	for i, s := range a.Auth {
		shown[i] = credentialView{s.Type, c.SecretVersion(i) == 0}
	}
	return shown
}

// connectionView is a connection as clients see it.
type connectionView struct {
	ID             string           `json:"id"`
	Name           string           `json:"name"`
	ConnectorID    string           `json:"connectorId"`
	OrganisationID string           `json:"organisationId"`
	Status         vault.Status     `json:"status"`
	Reason         string           `json:"reason,omitempty"`
	Credentials    []credentialView `json:"credentials"`
	Variables      []variableView   `json:"variables"`
	Errors         *[]string        `json:"errors,omitempty"` // absent: never tested
	CreatedAt      string           `json:"createdAt"`
	UpdatedAt      string           `json:"updatedAt"`
}

func (a *API) view(c *vault.Connection) connectionView {
	shown := connectionView{
		ID: c.ID, Name: c.Name, ConnectorID: c.API, OrganisationID: c.Owner, Status: c.Status,
		Credentials: a.viewCredentials(c), Variables: viewVariables(c.Variables), CreatedAt: written(c.CreatedAt), UpdatedAt: written(c.UpdatedAt),
	}
	if c.Status == vault.ReauthRequired {
		shown.Reason = c.Reason
	}
	if c.Errors != nil {
		shown.Errors = &c.Errors
	}
	return shown
}

func written(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// connectorView is an API as clients see it.
type connectorView struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Protocol  string           `json:"protocol"`
	BaseURL   string           `json:"baseUrl"`
	Schemes   []schemeView     `json:"authSchemeConfigs"`
	Variables []connectorValue `json:"connectionVariables"`
}

// schemeView is what a client must know of a scheme, to ask a user for the
// credential.
type schemeView struct {
	Type string `json:"schemeType"`
	In   string `json:"in,omitempty"`
	Name string `json:"name,omitempty"`
}

// connectorValue is a variable of an API.
type connectorValue struct {
	Name        string `json:"name"`
	Default     string `json:"default,omitempty"`
	Pattern     string `json:"pattern,omitempty"`
	Overridable bool   `json:"overridable"`
}

func (a *API) viewConnector() connectorView {
	shown := connectorView{
		ID: a.name, Name: a.name, Protocol: "http", BaseURL: a.BaseURL,
		Schemes: make([]schemeView, len(a.Auth)), Variables: []connectorValue{},
	}
	for i, s := range a.Auth {
		shown.Schemes[i] = schemeView{s.Type, s.In, s.Name}
	}
	for _, name := range a.template.Variables() {
		value := connectorValue{Name: name}
		if v := a.Variables[name]; v != nil {
			value.Default, value.Pattern, value.Overridable = v.Default, v.Pattern, v.Overridable
		}
		shown.Variables = append(shown.Variables, value)
	}
	return shown
}
