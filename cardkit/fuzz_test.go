package cardkit

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// FuzzDecode checks that decoding never panics, and that what was decoded
// can be encoded and means the same then.
func FuzzDecode(f *testing.F) {
	for _, tc := range samples {
		f.Add(tc.sample)
	}
	f.Add("blink:webview?url=aHR0cHM6Ly9hLmV4YW1wbGU&action=open&id=a%20%2B%26")
	f.Add("blink:post?url=L2Nvbm5lY3Rvci9sLTEvJTI1MmU_&body=In5-fn4_Ig")
	f.Add("blink:link?url=amF2YXNjcmlwdDphbGVydCgxKQ&action=open")
	f.Add("blink:post?url==&body=%&&=")

	f.Fuzz(func(t *testing.T, s string) {
		action, err := Decode(s)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("error is %d bytes long", len(err.Error()))
			}
			return
		}

		encoded, err := action.Encode()
		if errors.Is(err, ErrTooLarge) && len(s) > MaxSize/3 {
			return // escapes that the input left out
		}
		if err != nil {
			t.Fatalf("encoding %+v: %v", action, err)
		}
		again, err := Decode(encoded)
		if err != nil {
			t.Fatalf("decoding %s: %v", encoded, err)
		}
		if !reflect.DeepEqual(again, action) {
			t.Errorf("got %+v, expected %+v", again, action)
		}
		if action.Kind == KindPost && !strings.HasPrefix(action.URL, PathPrefix+"/"+action.ServiceID()) {
			t.Errorf("service id %q of %s", action.ServiceID(), action.URL)
		}
	})
}
