// Package configfile reads the files that a config names.
package configfile

import (
	"fmt"
	"io"
	"os"
)

// Read returns what is in a regular file of at most limit bytes. Errors name it.
func Read(path string, limit int64) ([]byte, error) {
	// opening a pipe would wait for somebody who writes to it
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}
