package connector

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/internal/copybuffer"
)

// errTunnelled ends ReverseProxy's part in an upgraded exchange. It could do the
// rest too, but only over HTTP/1.1, and it returns while one of its copiers still
// runs, which Caddy's access log then races with.
var errTunnelled = errors.New("the exchange was a tunnel, and is over")

// goingAway is a WebSocket close frame with status 1001 (RFC 6455, sections 5.5.1
// and 7.4.1): the client may come back.
const goingAway = "\x88\x02\x03\xe9"

// tunnel joins a client's upgraded connection and the upstream's.
type tunnel struct {
	client   *clientSide
	upstream io.ReadWriteCloser
	farewell string
	buffers  *copybuffer.Pool
}

// isExtendedConnect reports whether r opens a WebSocket over HTTP/2 (RFC 8441)
// or HTTP/3 (RFC 9220). Upstreams get it as the HTTP/1.1 upgrade.
func isExtendedConnect(r *http.Request) bool {
	return r.Method == http.MethodConnect &&
		(r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket")
}

// upgradeExtended turns an extended CONNECT into an upgrade. Its body is the
// client's side of the tunnel, not the request's.
func upgradeExtended(out *http.Request) {
	delete(out.Header, ":protocol")
	out.Method, out.Body, out.ContentLength = http.MethodGet, nil, 0
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	out.Header["Connection"] = []string{"Upgrade"}
	out.Header["Upgrade"] = []string{"websocket"}
	out.Header["Sec-Websocket-Key"] = []string{base64.StdEncoding.EncodeToString(key[:])}
}

// tunnel passes a 101 answer on, and then bytes both ways until both sides are
// done. An upstream that switches to something that was not asked for is
// refused.
func (ex *exchange) tunnel(res *http.Response) error {
	asked, got := upgradeType(res.Request.Header), upgradeType(res.Header)
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if !ok || asked == "" || !strings.EqualFold(asked, got) {
		return errors.New("the upstream switched to another protocol")
	}
	defer upstream.Close()

	t := &tunnel{upstream: upstream, buffers: &ex.handler.buffers}
	if strings.EqualFold(got, "websocket") {
		t.farewell = goingAway
	}
	stripHops(res.Header)
	w := ex.writer.ResponseWriter
	if isExtendedConnect(ex.inbound) {
		delete(res.Header, "Sec-Websocket-Accept")
		ex.writer.begin(res)
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return errTunnelled
		}
		t.client = extendedSide(ex.inbound.Body, w)
	} else {
		res.Header["Connection"], res.Header["Upgrade"] = []string{"Upgrade"}, []string{got}
		spellWebSocket(res.Header)
		ex.writer.begin(res)
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			ex.handler.logger.Error("taking over the client's connection: " + err.Error())
			return errTunnelled
		}
		t.client = upgradedSide(conn)
		// what the client has sent behind its request
		early, _ := buffered.Peek(buffered.Reader.Buffered())
		if _, err := upstream.Write(early); err != nil || buffered.Flush() != nil {
			conn.Close()
			return errTunnelled
		}
	}
	defer t.client.finish()
	ex.service.streams.add(t)
	defer ex.service.streams.remove(t)
	t.run(ex.inbound.Context())
	return errTunnelled
}

// run copies until both directions have ended. The end of one is passed on as a
// half-close, where the other side has one; anything else ends both.
func (t *tunnel) run(ctx context.Context) {
	defer t.close()
	defer context.AfterFunc(ctx, t.close)()
	ended := make(chan error, 2)
	go func() { ended <- t.copy(t.upstream, t.client) }()
	go func() { ended <- t.copy(t.client, t.upstream) }()
	for range 2 {
		if err := <-ended; err != nil {
			t.close()
		}
	}
}

func (t *tunnel) copy(dst io.Writer, src io.Reader) error {
	buf := t.buffers.Get()
	defer t.buffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf); err != nil {
		return err
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return io.EOF
}

func (t *tunnel) close() {
	t.client.Close()
	t.upstream.Close()
}

// goAway closes the tunnel because its service is gone. A client that does not
// read is not waited for.
func (t *tunnel) goAway() {
	defer time.AfterFunc(100*time.Millisecond, t.close).Stop()
	_, _ = io.WriteString(t.client, t.farewell)
	t.close()
}
