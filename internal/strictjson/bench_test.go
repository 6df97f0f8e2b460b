package strictjson

import (
	"strings"
	"testing"
)

// BenchmarkObject reads an event of 500 bytes.
func BenchmarkObject(b *testing.B) {
	encoded := []byte(`{"type":"task.create","resource_id":"project-0000","data":{"sent":"0","text":"` + strings.Repeat("x", 410) + `"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Object(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
