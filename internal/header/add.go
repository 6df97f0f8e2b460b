package header

import (
	"net/http"
	"slices"
)

// AddAll adds the fields of src to dst, behind those of the same name. The values are
// then in both.
func AddAll(dst, src http.Header) {
	for name, values := range src {
		if set := dst[name]; set != nil {
			values = append(slices.Clip(set), values...)
		}
		dst[name] = values
	}
}
