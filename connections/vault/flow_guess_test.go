package vault

import (
	"context"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
)

// Anybody can guess states: that neither waits for those who write, nor keeps them
// waiting.
func TestGuessedFlowDoesNotWrite(t *testing.T) {
	n := inFile(t).node()
	writing, end := make(chan struct{}), make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		wrote <- n.db.Write(context.Background(), func(context.Context, *datastore.Tx) error {
			close(writing)
			<-end
			return nil
		})
	}()
	<-writing
	guessed := make(chan error, 1)
	go func() {
		_, err := n.TakeFlow(context.Background(), [32]byte{1})
		guessed <- err
	}()
	select {
	case err := <-guessed:
		is(n, "a guess", err, ErrUnknown)
	case <-time.After(10 * time.Second):
		t.Error("a guess waits for who writes")
	}
	close(end)
	is(n, "the write", <-wrote, nil)
}
