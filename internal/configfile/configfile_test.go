package configfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := Read(path, 5); err != nil || string(content) != "12345" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := Read(path, 4); err == nil || err.Error() != path+" is larger than 4 bytes" {
		t.Errorf("too large: %v", err)
	}
	if _, err := Read(dir, 5); err == nil || err.Error() != dir+" is not a file" {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Read(path+"2", 5); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+"2") {
		t.Errorf("no file: %v", err)
	}
}
