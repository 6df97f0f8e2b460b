package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// ErrTooLarge is what ReadAll returns for a body that is larger than it may be.
var ErrTooLarge = errors.New("response body too large")

// firstBuffer is what a body gets in advance: its length is only a claim.
const firstBuffer = 64 << 10

// ReadAll reads a body whole, up to limit bytes; more is ErrTooLarge. Closing
// the body is left to the caller.
func ReadAll(res *http.Response, limit int64) ([]byte, error) {
	var body bytes.Buffer
	if res.ContentLength > 0 {
		body.Grow(int(min(res.ContentLength, firstBuffer)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(nil, res.Body, limit))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// timedBody is a body that releases its request's deadline when it ends.
type timedBody struct {
	io.ReadCloser
	release context.CancelFunc
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

func (b *timedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
