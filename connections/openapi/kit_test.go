package openapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsed(t testing.TB, document string) *Document {
	t.Helper()
	d, _, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func imported(t testing.TB, document string) *Imported {
	t.Helper()
	i, err := Import([]byte(document), "")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func quoted(t testing.TB, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
