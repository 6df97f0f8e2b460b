// Package stdlog keeps secrets out of the standard library's log, which Caddy
// has in its own. What an HTTP server sends unasked on an idle connection,
// net/http logs: up to 4 KiB, in which a server that echoes requests may have
// their credentials.
package stdlog

import (
	"bytes"
	"io"
	"log"
)

var (
	unsolicited = []byte("Unsolicited response received on idle HTTP channel") // as net/http has it
	rest        = []byte(", which is not shown\n")
)

// Guard has the standard library's log leave out what a server has sent unasked.
// Configs call it when they are loaded, since Caddy sets where the log goes then,
// and when they are unloaded, since that undoes it. It is cheap.
func Guard() {
	if _, ok := log.Writer().(guarded); !ok {
		log.SetOutput(guarded{log.Writer()})
	}
}

// guarded is where the log goes.
type guarded struct{ io.Writer }

// Write implements io.Writer. It gets one entry at a time.
func (g guarded) Write(entry []byte) (int, error) {
	start := bytes.Index(entry, unsolicited) // after the time, if the log has one
	if start < 0 {
		return g.Writer.Write(entry)
	}
	shown := append(entry[:start+len(unsolicited):start+len(unsolicited)], rest...)
	if _, err := g.Writer.Write(shown); err != nil {
		return 0, err
	}
	return len(entry), nil
}
