package anychannel

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// jsonObject is a JSON object of members that are written as they are; an empty one
// is left out.
func jsonObject(members map[string]string) string {
	var out []string
	for name, value := range members {
		if value != "" {
			out = append(out, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

// manifestOf is the smallest manifest with these members besides, or instead.
func manifestOf(members map[string]string) string {
	all := map[string]string{"name": `"Omniwear"`, "id": `"com.omniwear"`, "urls": `{"admin_ui":"https://omniwear.example/admin"}`}
	maps.Copy(all, members)
	return jsonObject(all)
}

// manifestWith is a document in which one member is another.
func manifestWith(name, value string) string { return manifestOf(map[string]string{name: value}) }

// manifestWithURL is a document in which one URL is another.
func manifestWithURL(name, value string) string {
	urls := map[string]string{"admin_ui": `"https://omniwear.example/admin"`}
	urls[name] = value
	return manifestWith("urls", jsonObject(urls))
}

// jsonText is a JSON string of so many characters, of which these are the last.
func jsonText(end string, characters int) string {
	return `"` + strings.Repeat("x", characters-len([]rune(end))) + end + `"`
}

// jsonURL is a JSON string with an https URL of so many characters.
func jsonURL(characters int) string {
	const base = "https://omniwear.example/é"
	return `"` + base + strings.Repeat("é", characters-len([]rune(base))) + `"`
}

// The errors are compared whole: they hold nothing of the document.
func TestParseManifest(t *testing.T) {
	type row struct{ document, want string }
	rows := map[string]row{
		"smallest": {manifestOf(nil), ""},
		"every member": {`{
	"name": "Omniwear", "id": "com.omniwear.instagram", "version": "1.2.3", "author": "Omniwear GmbH",
	"push_client_id": "omniwear", "channelback_files": true, "create_followup_tickets": false,
	"urls": {
		"admin_ui": "https://omniwear.example/admin", "pull_url": "https://omniwear.example/pull",
		"channelback_url": "https://omniwear.example/channelback", "clickthrough_url": "https://omniwear.example/click",
		"healthcheck_url": "https://omniwear.example/health", "about_url": "https://omniwear.example/about",
		"dashboard_url": "https://omniwear.example/dashboard", "event_callback_url": "https://omniwear.example/event"
	}
}`, ""},
		"unknown members":                {manifestWith("icon", `{"a":[1,{"b":null}]}`), ""},
		"an unknown URL that is none":    {manifestWithURL("icon_url", `"http://h/"`), ""},
		"space around":                   {"\r\n\t " + manifestOf(nil) + "\n", ""},
		"optional members that are null": {manifestOf(map[string]string{"version": "null", "author": "null", "push_client_id": "null", "channelback_files": "null"}), ""},
		"optional members that are empty": {
			manifestOf(map[string]string{"version": `""`, "author": `""`, "push_client_id": `""`}), "",
		},
		"https in capitals": {manifestWithURL("admin_ui", `"HTTPS://omniwear.example/"`), ""},

		"nothing":          {"", "not a JSON object"},
		"null":             {"null", "name is missing"},
		"an empty object":  {"{}", "name is missing"},
		"an array":         {"[" + manifestOf(nil) + "]", "not a JSON object"},
		"a string":         {`"s3cr3t"`, "not a JSON object"},
		"a number":         {"1", "not a JSON object"},
		"HTML":             {"<!doctype html><title>s3cr3t</title>", "not a JSON object"},
		"a BOM":            {"\ufeff" + manifestOf(nil), "not a JSON object"},
		"half of it":       {manifestOf(nil)[:20], "not a JSON object"},
		"two documents":    {manifestOf(nil) + manifestOf(nil), "not a JSON object"},
		"trailing garbage": {manifestOf(nil) + "s3cr3t", "not a JSON object"},
		"a trailing comma": {strings.Replace(manifestOf(nil), "}", ",}", 1), "not a JSON object"},
		"deep nesting":     {manifestWith("icon", strings.Repeat("[", 1e5)+strings.Repeat("]", 1e5)), "not a JSON object"},
		"unclosed nesting": {strings.Repeat(`{"urls":`, 1e5), "not a JSON object"},

		"no name":                  {manifestWith("name", ""), "name is missing"},
		"an empty name":            {manifestWith("name", `""`), "name is missing"},
		"a name that is null":      {manifestWith("name", "null"), "name is missing"},
		"no id":                    {manifestWith("id", ""), "id is missing"},
		"an empty id":              {manifestWith("id", `""`), "id is missing"},
		"no urls":                  {manifestWith("urls", ""), "urls is missing"},
		"urls that are null":       {manifestWith("urls", "null"), "urls is missing"},
		"empty urls":               {manifestWith("urls", "{}"), "urls.admin_ui is missing"},
		"no admin_ui":              {manifestWith("urls", `{"pull_url":"https://h/"}`), "urls.admin_ui is missing"},
		"an empty admin_ui":        {manifestWithURL("admin_ui", `""`), "urls.admin_ui is missing"},
		"an admin_ui that is null": {manifestWithURL("admin_ui", "null"), "urls.admin_ui is missing"},

		"a name that is a number":    {manifestWith("name", "5"), "name has the wrong type"},
		"a name that is an object":   {manifestWith("name", `{"s3cr3t":"s3cr3t"}`), "name has the wrong type"},
		"an id that is an array":     {manifestWith("id", `["s3cr3t"]`), "id has the wrong type"},
		"a version that is a number": {manifestWith("version", "1.0"), "version has the wrong type"},
		"an author that is false":    {manifestWith("author", "false"), "author has the wrong type"},
		"a push_client_id of 5":      {manifestWith("push_client_id", "5"), "push_client_id has the wrong type"},
		"channelback_files as text":  {manifestWith("channelback_files", `"s3cr3t"`), "channelback_files has the wrong type"},
		"create_followup_tickets 1":  {manifestWith("create_followup_tickets", "1"), "create_followup_tickets has the wrong type"},
		"urls as text":               {manifestWith("urls", `"s3cr3t"`), "urls has the wrong type"},
		"urls as an array":           {manifestWith("urls", `["https://h/"]`), "urls has the wrong type"},
		"a URL that is a number":     {manifestWithURL("pull_url", "5"), "urls has the wrong type"},
		"a URL that is an object":    {manifestWithURL("s3cr3t", `{"s3cr3t":1}`), "urls has the wrong type"},

		"an http admin_ui":      {manifestWithURL("admin_ui", `"http://s3cr3t/"`), "urls.admin_ui is not an https URL"},
		"a URL that is null":    {manifestWithURL("pull_url", "null"), "urls.pull_url is not an https URL"},
		"an empty URL":          {manifestWithURL("pull_url", `""`), "urls.pull_url is not an https URL"},
		"a relative URL":        {manifestWithURL("pull_url", `"/s3cr3t"`), "urls.pull_url is not an https URL"},
		"a URL with no slashes": {manifestWithURL("pull_url", `"https:s3cr3t"`), "urls.pull_url is not an https URL"},
		"a space before it":     {manifestWithURL("pull_url", `" https://s3cr3t/"`), "urls.pull_url is not an https URL"},

		// a member's name has one spelling
		"a name in capitals":              {manifestOf(map[string]string{"name": "", "NAME": `"Omniwear"`}), "name is missing"},
		"another member named almost so":  {manifestWith("Name", "5"), ""},
		"urls in capitals beside the one": {manifestWith("URLS", "null"), ""},
	}
	for member, longest := range map[string]int{"name": 255, "id": 511, "version": 255, "author": 255, "push_client_id": 128} {
		for _, end := range []string{"", "é", "𝄞"} {
			rows[fmt.Sprint("as long as may be: ", member, end)] = row{manifestWith(member, jsonText(end, longest)), ""}
			rows[fmt.Sprint("too long: ", member, end)] = row{
				manifestWith(member, jsonText(end, longest+1)), fmt.Sprintf("%s is longer than %d characters", member, longest),
			}
		}
		rows["every character takes three bytes: "+member] = row{manifestWith(member, jsonText(strings.Repeat("€", longest), longest)), ""}
	}
	for _, name := range []string{
		"admin_ui", "pull_url", "channelback_url", "clickthrough_url", "healthcheck_url", "about_url", "dashboard_url",
		"event_callback_url",
	} {
		rows["as long as may be: "+name] = row{manifestWithURL(name, jsonURL(511)), ""}
		rows["too long: "+name] = row{manifestWithURL(name, jsonURL(512)), "urls." + name + " is longer than 511 characters"}
		rows["http: "+name] = row{manifestWithURL(name, `"http://s3cr3t/"`), "urls." + name + " is not an https URL"}
	}
	for name, tc := range rows {
		m, err := parseManifest([]byte(tc.document))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: error %q, want %q, of %.300s", name, got, tc.want, tc.document)
		}
		if err == nil && (m.Name == "" || m.ID == "" || m.URLs["admin_ui"] == "") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	t.Logf("%d documents", len(rows))
}
