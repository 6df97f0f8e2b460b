package oauthtest

import (
	"io"
	"net/http"
	"strings"
)

// Broken are token endpoints as they are met in the wild, by what is wrong with
// them. Each hands out the access token "token" if it hands out one.
func Broken() map[string]http.Handler {
	const token = `{"access_token":"token","token_type":"bearer"`
	json := http.Header{"Content-Type": {"application/json"}}
	return map[string]http.Handler{
		"hangs": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10)) // only then its end is seen
			<-r.Context().Done()
		}),
		"huge":                fixed(200, json, token+`,"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"expires_in text":     fixed(200, json, token+`,"expires_in":"3600"}`),
		"expires_in negative": fixed(200, json, token+`,"expires_in":-1}`),
		"expires_in endless":  fixed(200, json, token+`,"expires_in":1e400}`),
		"200 with an error":   fixed(200, json, `{"error":"invalid_grant","error_description":"<b>"}`),
		"form":                fixed(200, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "access_token=token&token_type=bearer"),
		"page":                fixed(200, http.Header{"Content-Type": {"text/html"}}, token+"}"),
		"no content type":     fixed(200, http.Header{"Content-Type": nil}, token+"}"),
		"cut":                 fixed(200, json, token),
		"line break":          fixed(200, json, `{"access_token":"token\r\nX-Other: 1"}`),
		"redirect":            fixed(307, http.Header{"Location": {"/elsewhere"}}, ""),
		"busy":                fixed(429, http.Header{"Retry-After": {"30"}}, ""),
		"down":                fixed(503, http.Header{"Retry-After": {"Sun, 22 Nov 2026 08:00:30 GMT"}, "Date": {"Sun, 22 Nov 2026 08:00:00 GMT"}}, ""),
	}
}

func fixed(status int, header http.Header, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}
