package datastore

import (
	"bytes"
	"log"
	"testing"
)

// What net/http would log of an answer that nobody asked for reaches no log,
// whatever Caddy does to it when configs change.
func TestUnsolicitedAnswers(t *testing.T) {
	before := log.Writer()
	defer log.SetOutput(before)
	const entry = `Unsolicited response received on idle HTTP channel starting with "hidden-token"; err=<nil>`
	check := func(when string, written *bytes.Buffer) {
		log.Print(entry)
		if written.Len() == 0 || bytes.Contains(written.Bytes(), []byte("hidden")) {
			t.Errorf("%s, the log has %q", when, written)
		}
	}
	var loading, unloading bytes.Buffer
	log.SetOutput(&loading)
	f := run(t, inFile(t))
	check("once loaded", &loading)
	log.SetOutput(&unloading) // as Caddy does when the logs of a config are closed
	f.end(t)
	check("once unloaded", &unloading)
}
