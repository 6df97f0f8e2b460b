package connections

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/f737063d/caddy-connector/internal/loopback"
)

// provisionURLs checks where users come back to, and are sent to.
func (h *Handler) provisionURLs() error {
	if h.PublicURL != "" {
		if err := checkPublicURL(h.PublicURL); err != nil {
			return fmt.Errorf("public_url: %w", err)
		}
	}
	h.origin = strings.TrimRight(h.PublicURL, "/") // all paths begin with a slash
	for _, location := range h.ReturnTo {
		if err := checkReturnTo(location); err != nil {
			return fmt.Errorf("return_to: %w", err)
		}
	}
	return nil
}

// checkPublicURL refuses what is not the origin of a site.
func checkPublicURL(raw string) error {
	u, err := parseSite(raw)
	if err != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(raw, "?#") {
		return fmt.Errorf("'%s' is not https:// and a host", raw)
	}
	return nil
}

// checkReturnTo refuses what a browser should not be sent to.
func checkReturnTo(raw string) error {
	_, err := parseSite(raw)
	return err
}

// parseSite reads a URL of a site, with https, or http on this machine.
func parseSite(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !loopback.IsHost(u.Hostname())) {
		return nil, fmt.Errorf("'%s' is not a URL with https:// and a host", raw)
	}
	return u, nil
}
