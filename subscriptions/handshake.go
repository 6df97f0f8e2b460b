package subscriptions

import (
	"fmt"
	"regexp"
)

// Header fields of handshakes.
const (
	hookSecretField = "X-Hook-Secret"
	originField     = "WebHook-Request-Origin"
)

var dnsName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func checkOrigin(origin string) error {
	if len(origin) > 253 || !dnsName.MatchString(origin) {
		return fmt.Errorf("origin '%s' is not a DNS name in lower case", origin)
	}
	return nil
}
