package anychannel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// manifest is an integration's own description, in the parts that have rules:
// the schema that Zendesk publishes for integration manifests.
type manifest struct {
	Name, ID, Version, Author, PushClientID string
	ChannelbackFiles, CreateFollowupTickets bool
	URLs                                    map[string]string
}

// maxManifestURL is the longest URL in a manifest, in characters.
const maxManifestURL = 511

// parseManifest reads a manifest and checks it. Errors name the member, and hold
// no bytes of the document.
func parseManifest(document []byte) (*manifest, error) {
	// a struct would take members for each other that differ in case
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, errors.New("not a JSON object")
	}
	var m manifest
	for name, into := range map[string]any{
		"name": &m.Name, "id": &m.ID, "version": &m.Version, "author": &m.Author, "push_client_id": &m.PushClientID,
		"channelback_files": &m.ChannelbackFiles, "create_followup_tickets": &m.CreateFollowupTickets, "urls": &m.URLs,
	} {
		if raw, ok := members[name]; ok && json.Unmarshal(raw, into) != nil {
			return nil, fmt.Errorf("%s has the wrong type", name)
		}
	}
	for _, text := range []struct {
		member, value string
		required      bool
		longest       int
	}{
		{"name", m.Name, true, 255},
		{"id", m.ID, true, 511},
		{"version", m.Version, false, 255},
		{"author", m.Author, false, 255},
		{"push_client_id", m.PushClientID, false, 128},
	} {
		if text.required && text.value == "" {
			return nil, fmt.Errorf("%s is missing", text.member)
		}
		if utf8.RuneCountInString(text.value) > text.longest {
			return nil, fmt.Errorf("%s is longer than %d characters", text.member, text.longest)
		}
	}
	return &m, m.checkURLs()
}

func (m *manifest) checkURLs() error {
	if m.URLs == nil {
		return errors.New("urls is missing")
	}
	if m.URLs["admin_ui"] == "" {
		return errors.New("urls.admin_ui is missing")
	}
	for _, name := range []string{
		"admin_ui", "pull_url", "channelback_url", "clickthrough_url", "healthcheck_url", "about_url", "dashboard_url",
		"event_callback_url",
	} {
		raw, ok := m.URLs[name]
		if !ok {
			continue
		}
		if utf8.RuneCountInString(raw) > maxManifestURL {
			return fmt.Errorf("urls.%s is longer than %d characters", name, maxManifestURL)
		}
		if len(raw) <= len("https://") || !strings.EqualFold(raw[:len("https://")], "https://") {
			return fmt.Errorf("urls.%s is not an https URL", name)
		}
	}
	return nil
}
