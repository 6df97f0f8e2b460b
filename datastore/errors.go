package datastore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ErrNotReady says that the database cannot be used now, but likely soon: the
// app has not started yet or has ended, the server is away, or its schema or
// the keys don't fit. A handler answers 503 with RetryAfter.
var ErrNotReady = errors.New("the database is not ready")

// RetryAfter is what to ask clients to wait after ErrNotReady.
const RetryAfter = 2 * time.Second

var (
	errNotStarted = errors.New("the app connector has not started")
	errConnecting = errors.New("connecting")
	errClosed     = errors.New("it is closed")
)

// notReady is ErrNotReady with its reason.
type notReady struct{ reason error }

// Error implements error.
func (e notReady) Error() string { return ErrNotReady.Error() + ": " + e.reason.Error() }

// Unwrap has errors.Is and errors.As find both.
func (e notReady) Unwrap() []error { return []error{ErrNotReady, e.reason} }

// closedError reports whether an error says that the pool was closed meanwhile.
func closedError(err error) bool {
	return errors.Is(err, errClosed) || errors.Is(err, sql.ErrConnDone) ||
		// database/sql does not export this one
		strings.Contains(err.Error(), "sql: database is closed")
}

func contextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// scrubbed is an error without the secrets that its text would have.
type scrubbed struct {
	text string
	error
}

// Error implements error.
func (e scrubbed) Error() string { return e.text }

// Unwrap gives the error to errors.Is and errors.As, which don't print it.
func (e scrubbed) Unwrap() error { return e.error }

// Format implements fmt.Formatter, so that no verb prints what is inside.
func (e scrubbed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.text)) }

// scrub removes secrets from the text of an error.
func scrub(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "REDACTED")
		}
	}
	if text == err.Error() {
		return err
	}
	return scrubbed{text, err}
}

// afterFailure is the outcome of a function that did not return the error of a
// statement.
func afterFailure(failed error) error { return fmt.Errorf("the function went on after: %w", failed) }

func commitError(err error) error { return fmt.Errorf("committing: %w", err) }

// connectionLost reports whether an error says that a connection ended under a
// statement.
func connectionLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, new(net.Error)) || strings.Contains(err.Error(), "conn closed")
}
