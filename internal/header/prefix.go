package header

// HasPrefix reports whether name, in some spelling, begins with the prefix, which
// is in lower case and has hyphens.
func HasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && equal(prefix, name[:len(prefix)])
}
