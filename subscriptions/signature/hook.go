package signature

import (
	"encoding/hex"
	"errors"
	"net/http"
)

// HookField is the header field of the signature that goes with a handshake by
// X-Hook-Secret: the hex of the body's HMAC-SHA256, with no prefix. As with
// HubField, who has seen a request can send it again.
const HookField = "X-Hook-Signature"

var hookField = newField(HookField)

// SignHook makes the signature of the body the only value of HookField in h.
func SignHook(h http.Header, body []byte, secret HubSecret) error {
	if secret.IsZero() {
		return errors.New("the secret is not set")
	}
	key := secret.reveal()
	mac := key.get()
	defer key.put(mac)
	hookField.spellings.Strip(h)
	h[HookField] = []string{hex.EncodeToString(mac.of(body))}
	return nil
}
