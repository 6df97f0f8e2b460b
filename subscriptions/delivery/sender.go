package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

const (
	attemptTimeout = 15 * time.Second // of one request, with its answer's body
	maxAnswer      = 16 << 10         // bytes of the answer that are read
)

// verdict is what an answer means for the delivery and its endpoint.
type verdict struct {
	attempt Attempt
	ok      bool
	gone    bool          // 410: the subscription ends
	pause   time.Duration // how long the endpoint wants to be left alone
	probe   bool          // whether it was to find out if the endpoint is there again
}

// result is what a verdict makes of a delivery.
func (v verdict) result(d *Delivery) Result {
	r := Result{Delivery: d, Attempt: v.attempt}
	switch {
	case v.ok:
		r.State = Delivered
	case v.gone:
		r.State = Cancelled
	default:
		var again bool
		if r.Due, again = nextAttempt(d.Tries, d.Since, time.Now(), v.pause); !again {
			r.State = Dead
		}
	}
	return r
}

// send makes one attempt. Success is 2xx and nothing else; no redirect is
// followed.
func send(ctx context.Context, client http.RoundTripper, target *Target, d *Delivery) (v verdict) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	v.attempt.Started = time.Now()
	defer func() { v.attempt.Duration = time.Since(v.attempt.Started) }()

	u, err := url.Parse(target.URL)
	if err != nil {
		v.attempt.Error = "url_invalid"
		return v
	}
	header, body, err := sign(target, d, v.attempt.Started)
	if err != nil {
		v.attempt.Error = "signing_failed"
		return v
	}
	request := (&http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)

	res, err := client.RoundTrip(request)
	if err != nil {
		v.attempt.Error = nameOf(err)
		return v
	}
	defer res.Body.Close()
	v.attempt.Status = res.StatusCode
	v.pause = retryAfter(res, v.attempt.Started)
	switch err = drain(res.Body); {
	case err != nil:
		v.attempt.Error = nameOf(err)
	case res.StatusCode/100 == 2:
		v.ok = true
	case res.StatusCode == http.StatusGone:
		v.gone = true
	case res.StatusCode/100 == 3:
		v.attempt.Error = "redirect"
	default:
		v.attempt.Error = "status"
	}
	return v
}

// sign returns the header and the body of an attempt.
func sign(target *Target, d *Delivery, at time.Time) (header http.Header, body []byte, err error) {
	header, body = target.Header.Clone(), d.Message.Body
	if header == nil {
		header = make(http.Header)
	}
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", egress.UserAgent)
	if parent := traceparent(d.Message.Traceparent); parent != "" {
		header.Set("Traceparent", parent)
	}
	if target.Flat {
		body = d.Message.data()
		d.Message.setHeader(header)
	}
	if !target.Hub.IsZero() {
		if err := signature.SignHub(header, body, target.Hub); err != nil {
			return nil, nil, err
		}
	}
	if !target.Hook.IsZero() {
		if err := signature.SignHook(header, body, target.Hook); err != nil {
			return nil, nil, err
		}
	}
	// the last one, so that no other field has a name of its
	return header, body, signature.Sign(header, target.Names, d.Message.EventID, at, body, target.Secrets...)
}

// drain reads an answer to its end, so that the connection can be used again. Of
// a long one, the rest is not waited for. It is not kept: it may repeat what it
// was sent, such as a subscriber's credentials, and is nobody's to read.
func drain(body io.Reader) error {
	_, err := io.CopyN(io.Discard, body, maxAnswer)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// nameOf gives an error of the network a stable name that tells nothing about
// the network.
func nameOf(err error) string {
	if name := proxyerror.Of(err); name != "" {
		return name
	}
	return proxyerror.ProtocolError
}
