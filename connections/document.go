package connections

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"

	"github.com/f737063d/caddy-connector/connections/openapi"
	"github.com/f737063d/caddy-connector/internal/configfile"
)

// readDocument reads the file with an API's OpenAPI document. Nothing that it
// refers to is fetched.
func readDocument(file string) (*openapi.Document, []openapi.Message, error) {
	content, err := configfile.Read(file, openapi.MaxDocument)
	if err != nil {
		return nil, nil, err
	}
	document, messages, err := openapi.Parse(content)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return document, messages, nil
}

// checkDocument has an error name the line of the Caddyfile. That may be adapted
// where the file is not: a file that is missing is one when the config is loaded.
func checkDocument(file string) error {
	if _, _, err := readDocument(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("openapi: %w", err)
	}
	return nil
}

// provisionDocument reads the document, if there is one, and warns of what of it
// is not used.
func (a *API) provisionDocument(logger *zap.Logger) error {
	if a.OpenAPI == "" {
		return nil
	}
	document, messages, err := readDocument(a.OpenAPI)
	if err != nil {
		return err
	}
	a.document = document
	var warnings []string
	for _, m := range messages {
		if m.Severity == openapi.Warning {
			warnings = append(warnings, m.Text)
		}
	}
	if len(warnings) > 0 {
		logger.Warn("parts of an OpenAPI document are not used", zap.String("api", a.name), zap.String("file", a.OpenAPI), zap.Strings("parts", warnings))
	}
	return nil
}
