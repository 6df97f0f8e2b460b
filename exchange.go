package connector

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// exchange is one request on its way to a service, and the answer on its way
// back. The standard library's ReverseProxy does the proxying; it runs rewrite
// after it has removed the hop-by-hop headers, so that what rewrite sets cannot
// be removed by the client.
type exchange struct {
	handler *Handler
	service *Service
	userID  string
	inbound *http.Request

	proxy   httputil.ReverseProxy
	target  url.URL // where the request goes
	writer  responseWriter
	body    *requestBody
	start   time.Time
	latency time.Duration // until the upstream's answer; zero while there is none
	status  int
	answer  *http.Response
	digest  [sha256.Size]byte // of the body, for a service that signs
}

// serve admits the request and forwards it. The rest is the escaped path behind
// the service id.
func (ex *exchange) serve(w http.ResponseWriter, rest string) error {
	refused := ex.admit(w, rest)
	if refused == nil && ex.service.Sign {
		refused = ex.holdBody()
	}
	if refused != nil {
		ex.service.measured().count(refused.Status)
		return reject(w, refused)
	}
	ex.writer = responseWriter{ResponseWriter: w, withheld: ex.handler.headers.Set()}

	r := ex.inbound
	if r.ProtoMajor == 3 && r.Context().Value(http.ServerContextKey) == nil {
		// without it, ReverseProxy ends a broken answer as if it were whole
		r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, new(http.Server)))
	}
	if !isExtendedConnect(r) && (r.ContentLength != 0 || ex.handler.isHTTP3()) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		ex.body = ex.newRequestBody(cancel)
		defer ex.body.watch.Stop()
		r = r.WithContext(ctx)
	}

	ex.proxy = httputil.ReverseProxy{
		Rewrite:        ex.rewrite,
		Transport:      ex.handler.transport,
		BufferPool:     &ex.handler.buffers,
		ErrorLog:       ex.handler.errorLog,
		ModifyResponse: ex.modifyResponse,
		ErrorHandler:   ex.fail,
	}
	defer ex.finish()
	ex.start = time.Now()
	ex.proxy.ServeHTTP(&ex.writer, r)
	return nil
}

// admit checks what can be known before the upstream is asked.
func (ex *exchange) admit(w http.ResponseWriter, rest string) *problem.Problem {
	r := ex.inbound
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !isExtendedConnect(r) {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		return errMethod
	}
	if err := rawpath.Check(rest); err != nil || strings.Contains(r.URL.RawQuery, "#") {
		return errInvalidPath
	}
	ex.target.Scheme, ex.target.Host = ex.service.proxyURL.Scheme, ex.service.proxyURL.Host
	ex.target.RawQuery, ex.target.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	if err := rawpath.Set(&ex.target, rawpath.Join(ex.service.basePath, rest)); err != nil {
		return errInvalidPath
	}
	if httpguts.HeaderValuesContainsToken(r.Header["Cdn-Loop"], ex.service.loopMark[0]) {
		return errLoop
	}
	if r.ContentLength > ex.handler.MaxBody {
		return problem.BodyTooLarge
	}
	if !isPrintable(r.Header.Get("Upgrade")) {
		return errInvalidUpgrade
	}
	return nil
}

// rewrite makes the outbound request.
func (ex *exchange) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL = &ex.target
	out.Host = "" // the target's
	out.RequestURI = ""

	if isExtendedConnect(in) {
		upgradeExtended(out)
	}
	forward(in, out)
	ex.handler.withheld.Strip(out.Header)
	if marks := out.Header["Cdn-Loop"]; len(marks) > 0 {
		out.Header["Cdn-Loop"] = append(marks, ex.service.loopMark[0])
	} else {
		out.Header["Cdn-Loop"] = ex.service.loopMark
	}
	if isConnectCall(in.Method, &ex.target, ex.service.basePath) || ex.handler.isHTTP3() && out.Header.Get("Accept-Encoding") == "" {
		// a connect call's answer is read, and must not come compressed; and
		// over HTTP/3 the transport would decompress what it asks for itself
		out.Header["Accept-Encoding"] = identity
	}
	if ex.body != nil {
		ex.body.attach(out)
	}
	if ex.service.Sign {
		ex.handler.headers.WriteSigned(out, ex.service.secret, ex.userID, ex.digest, time.Now())
	} else {
		ex.handler.headers.Write(out.Header, ex.service.secret, ex.userID)
	}
}

// modifyResponse takes the answer over.
func (ex *exchange) modifyResponse(res *http.Response) error {
	ex.latency = time.Since(ex.start)
	ex.status = res.StatusCode
	ex.service.measured().upstream.Observe(ex.latency.Seconds())
	if c := ex.handler.logger.Check(zapcore.DebugLevel, "upstream answered"); c != nil {
		c.Write(zap.Inline(ex), zap.Int("status", res.StatusCode))
	}
	ex.body.answered()

	if problem.IsLoop(res) {
		return errLoopBehind
	}
	if isConnectCall(ex.inbound.Method, &ex.target, ex.service.basePath) {
		if err := checkConnectAnswer(res); err != nil {
			return err
		}
	}

	ex.handler.headers.Set().Strip(res.Header)
	ex.handler.headers.Set().Strip(res.Trailer)
	ex.answer = res
	if res.StatusCode == http.StatusSwitchingProtocols {
		return ex.tunnel(res)
	}
	ex.writer.begin(res)
	return nil
}

// fail answers when there is no answer of the upstream to pass on.
func (ex *exchange) fail(_ http.ResponseWriter, out *http.Request, err error) {
	if errors.Is(err, errTunnelled) {
		return
	}
	failure := ex.classify(out.Context(), err)
	ex.status = failure.problem.Status
	w := ex.writer.ResponseWriter
	if failure.problem == problem.ClientGone {
		w.WriteHeader(failure.problem.Status)
		return
	}
	if failure.problem.Status >= http.StatusInternalServerError {
		if c := ex.handler.logger.Check(zapcore.ErrorLevel, "upstream failed"); c != nil {
			c.Write(zap.String("service_id", ex.service.id), zap.String("code", failure.problem.Code),
				zap.String("error", failure.text), zap.Duration("duration", time.Since(ex.start)))
		}
	}
	_ = reject(w, failure.problem)
}

// finish runs when the answer is over, also when ReverseProxy gives up in its
// middle by panicking with http.ErrAbortHandler.
func (ex *exchange) finish() {
	ex.service.measured().count(ex.status)
	if ex.answer != nil && len(ex.answer.Trailer) > 0 {
		ex.handler.headers.Set().StripTrailers(ex.writer.ResponseWriter.Header())
	}
	if aborted := recover(); aborted != nil {
		// let the client have what has come so far
		_ = http.NewResponseController(ex.writer.ResponseWriter).Flush()
		panic(aborted)
	}
}

// placeholder looks up the placeholders in Handler's documentation.
func (ex *exchange) placeholder(key string) (any, bool) {
	switch {
	case key == "http.connector.service_id":
		return ex.service.id, true
	case key == "http.connector.upstream.latency" && ex.latency > 0:
		return ex.latency, true
	case key == "http.connector.upstream.latency_ms" && ex.latency > 0:
		return ex.latency.Seconds() * 1e3, true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler: what the access log says
// of the exchange.
func (ex *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("service_id", ex.service.id)
	if ex.latency > 0 {
		enc.AddDuration("upstream_latency", ex.latency)
	}
	return nil
}

// isPrintable reports whether s is visible ASCII and spaces, as ReverseProxy
// asks of a protocol name.
func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
