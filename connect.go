package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// maxConnectAnswer bounds what is kept in memory of a connect call's answer. A
// longer one is no connect answer and passes unread.
const maxConnectAnswer = 64 << 10

var errAnswerRefused = errors.New("authorization_url is not an absolute https URL")

// isConnectCall reports whether a request is the documented `POST
// /auth/<auth_id>`, by which a user connects an account: the client opens the
// answer's data.authorization_url in a window of its own (Blink, "Building
// authenticated integrations").
func isConnectCall(method string, target *url.URL, basePath string) bool {
	if method != http.MethodPost {
		return false
	}
	rest := strings.TrimPrefix(rawpath.Of(target), strings.TrimSuffix(basePath, "/"))
	authID, ok := strings.CutPrefix(rest, "/auth/")
	return ok && authID != "" && !strings.Contains(authID, "/")
}

// checkConnectAnswer refuses an answer whose authorization_url a client must not
// open, such as javascript:. An answer without one passes; the bytes are not
// changed.
func checkConnectAnswer(res *http.Response) error {
	if res.StatusCode/100 != 2 || res.Body == nil {
		return nil
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, maxConnectAnswer+1))
	if err != nil {
		return err
	}
	rest := res.Body
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), rest}

	var answer struct {
		Data struct {
			AuthorizationURL *string `json:"authorization_url"`
		} `json:"data"`
	}
	if len(head) > maxConnectAnswer || json.Unmarshal(head, &answer) != nil || answer.Data.AuthorizationURL == nil {
		return nil
	}
	u, err := url.Parse(*answer.Data.AuthorizationURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return errAnswerRefused
	}
	return nil
}
