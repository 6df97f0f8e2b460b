package datastore

import (
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkWrite is one insert of 500 bytes a write, from few and many callers.
func BenchmarkWrite(b *testing.B) {
	for name, parallel := range map[string]int{"1": 0, "16": 8, "64": 32} {
		b.Run(name, func(b *testing.B) {
			db := run(b, DatabaseConfig{Driver: SQLite, Path: b.TempDir() + "/test.db"}).db
			text := strings.Repeat("x", 500)
			var id atomic.Int64
			b.ResetTimer()
			if parallel == 0 {
				for b.Loop() {
					if err := insert(b.Context(), db, id.Add(1), text); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := insert(b.Context(), db, id.Add(1), text); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
