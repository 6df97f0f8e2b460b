package datastore

import (
	"context"
	"testing"
)

// TestQueryAgain reads the rows of a query while those of the same query are
// open, and runs more queries than are kept prepared.
func TestQueryAgain(t *testing.T) {
	db := run(t, DatabaseConfig{Driver: SQLite, Path: t.TempDir() + "/test.db"}).db
	const query = "SELECT value FROM json_each('[1,2,3]') ORDER BY value"
	for range 2 { // the second finds it prepared
		err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
			outer, err := tx.Query(ctx, query)
			if err != nil {
				return err
			}
			var seen []int
			for outer.Next() && len(seen) < 4 {
				var n, first int
				if err := outer.Scan(&n); err != nil {
					return err
				}
				inner, err := tx.Query(ctx, query)
				if err != nil {
					return err
				}
				inner.Next()
				if err := inner.Close(); err != nil {
					return err
				}
				if err := tx.QueryRow(ctx, query).Scan(&first); err != nil {
					return err
				}
				if first != 1 {
					t.Errorf("a query inside another begins with %d", first)
				}
				if _, err := tx.Exec(ctx, query); err != nil {
					return err
				}
				seen = append(seen, n)
			}
			if len(seen) != 3 || seen[2] != 3 {
				t.Errorf("the rows are %v, want 1 to 3", seen)
			}
			return outer.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := db.Write(t.Context(), func(ctx context.Context, tx *Tx) error {
		rows, err := tx.Query(ctx, query)
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		suffix := ""
		for range preparedLimit + 10 {
			suffix += " "
			if _, err := tx.Exec(ctx, "SELECT 1"+suffix); err != nil {
				return err
			}
		}
		if !rows.Next() {
			t.Error("other statements ended the rows of a query")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	suffix := ""
	for range preparedLimit + 10 {
		suffix += " "
		var one int
		if err := db.QueryRow(t.Context(), "SELECT 1"+suffix).Scan(&one); err != nil || one != 1 {
			t.Fatal(one, err)
		}
	}
}
