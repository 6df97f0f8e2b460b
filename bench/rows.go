package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

const (
	smallBody = 100
	kibBody   = 1 << 10
	largeBody = 64 << 10
)

// row is one line of the table: one kind of request, and the two sites that
// answer it.
type row struct {
	what, against string
	a, b          side
	budget        budget

	database   string // of the site publish_events, or ""
	subscribed int    // resources with a subscription
	connected  string // API of the connection that the requests of a are for, or ""
	conns      int    // 0: as many as the command line says
}

func (r row) String() string { return r.what }

// side is one of the two sites of a row, and the requests that it gets.
type side struct {
	site     string // of caddyConfig
	requests [][]byte
	answer   int // length of the answer's body
}

func (s side) status() int {
	if s.site == siteEvents || s.site == siteAccept {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// budget is what a row is expected to reach; zero stands for no expectation.
type budget struct {
	throughput float64 // ratio, at least
	p99        float64 // ratio, at most
}

func (b budget) String() string {
	var parts []string
	if b.throughput > 0 {
		parts = append(parts, fmt.Sprintf("throughput ≥ %.2f", b.throughput))
	}
	if b.p99 > 0 {
		parts = append(parts, fmt.Sprintf("p99 ≤ %.2f", b.p99))
	}
	return strings.Join(parts, ", ")
}

// kept reports whether a budget is kept. Ratios count as they are printed.
func (b budget) kept(throughput, p99 float64) bool {
	const half = 0.005
	return (b.throughput == 0 || throughput >= b.throughput-half) && (b.p99 == 0 || p99 < b.p99+half)
}

func allRows() []row {
	proxying := budget{throughput: 1.20, p99: 1.00}
	checking := budget{throughput: 0.95}
	channelling := budget{throughput: 0.90}
	asFast := budget{throughput: 0.97} // less what a site differs from itself

	small, large := get("/small"), get("/large")
	upload := post("/small", largeBody)
	oneSmall := get("/connector/" + serviceID(0) + "/small")
	oneLarge := get("/connector/" + serviceID(0) + "/large")
	oneUpload := post("/connector/"+serviceID(0)+"/small", largeBody)

	throughChannel := post("/api/v2/any_channel/proxy.json?ticket_id=62&post_to_path=/small", kibBody)

	// in an order that no cache can guess
	manySmall := make([][]byte, manyServices)
	for i, n := range rand.New(rand.NewPCG(1, 2)).Perm(manyServices) {
		manySmall[i] = get("/connector/" + serviceID(n) + "/small")[0]
	}

	rows := []row{
		{what: "reverse_proxy, 100 B", against: "itself (noise)", a: side{siteProxy, small, smallBody}, b: side{siteProxyAgain, small, smallBody}, budget: budget{}},
		{what: "connector, 1 service, 100 B", against: "reverse_proxy", a: side{siteOne, oneSmall, smallBody}, b: side{siteProxy, small, smallBody}, budget: proxying},
		{what: "connector, 1 service, 64 KiB answer", against: "reverse_proxy", a: side{siteOne, oneLarge, largeBody}, b: side{siteProxy, large, largeBody}, budget: proxying},
		{what: "connector, 1 service, 64 KiB request", against: "reverse_proxy", a: side{siteOne, oneUpload, smallBody}, b: side{siteProxy, upload, smallBody}, budget: proxying},
		{what: "proxy_secret, respond, 100 B", against: "the site without it", a: side{siteSecretRespond, small, smallBody}, b: side{siteRespond, small, smallBody}, budget: checking},
		{what: "proxy_secret, reverse_proxy, 100 B", against: "the site without it", a: side{siteSecretProxy, small, smallBody}, b: side{siteProxy, small, smallBody}, budget: checking},
		{what: "any_channel, 1 KiB request, HTTP/1.1 service", against: "reverse_proxy", a: side{siteChannelHTTP1, throughChannel, smallBody}, b: side{siteProxyHTTP1, throughChannel, smallBody}, budget: channelling},
		{what: "any_channel, 1 KiB request, HTTP/2 service", against: "reverse_proxy", a: side{siteChannelHTTP2, throughChannel, smallBody}, b: side{siteProxyHTTP2, throughChannel, smallBody}, budget: channelling},
		// last of these, because what they leave in the metrics makes the collector run less often
		{what: "connector, 10,000 services, 100 B", against: "reverse_proxy", a: side{siteMany, manySmall, smallBody}, b: side{siteProxy, small, smallBody}, budget: proxying},
		{what: "connector, 10,000 services, 100 B", against: "connector, 1 service", a: side{siteMany, manySmall, smallBody}, b: side{siteOne, oneSmall, smallBody}, budget: asFast},
	}
	return append(append(rows, connectionRows()...), publishRows()...)
}

// header is what every request brings: a usual client's, and the proof that
// proxy_secret asks for. Other sites get it too, so that both sides of a row
// parse the same bytes.
const header = "Host: edge.example\r\n" +
	"User-Agent: bench/1.0\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip\r\n" +
	"Authorization: Bearer 5f0c8e1bd2a94b7e\r\n" +
	"Cookie: session=0a1b2c3d4e5f\r\n" +
	"Blink-Auth-Proxysecret: " + proxySecret + "\r\n" +
	"Blink-Auth-Userid: " + userID + "\r\n"

func get(path string) [][]byte {
	return [][]byte{[]byte("GET " + path + " HTTP/1.1\r\n" + header + "\r\n")}
}

func post(path string, length int) [][]byte { return [][]byte{postJSON(path, body(length))} }

func postJSON(path string, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, header, len(body))
	return append([]byte(head), body...)
}

// body returns JSON of the given length.
func body(length int) []byte {
	return []byte(`"` + strings.Repeat("x", length-2) + `"`)
}
