package connector

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/proxyauth"
)

// holdBody reads the body of a request to a service that signs, because its
// digest stands in the header, before it. The inbound request becomes a copy
// with the body in memory, and without trailers, which no digest covers.
func (ex *exchange) holdBody() *problem.Problem {
	if isExtendedConnect(ex.inbound) {
		ex.digest = sha256.Sum256(nil) // upstreams get it without a body
		return nil
	}
	r := ex.inbound.WithContext(ex.inbound.Context())
	body, refused := problem.ReadBody(r, min(ex.handler.MaxBody, proxyauth.MaxSignedBody))
	if refused != nil {
		return refused
	}
	ex.digest = sha256.Sum256(body)
	r.Body, r.ContentLength, r.Trailer = http.NoBody, int64(len(body)), nil
	r.TransferEncoding = nil
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	ex.inbound = r
	return nil
}
