// Package dnstest is a DNS server for tests, whose answers can change from one
// lookup to the next.
package dnstest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Serve starts a server at a loopback address and returns a resolver that asks
// only it, apart from the names in the machine's hosts file. The server asks
// answers for the addresses of a name, which it passes without the last dot and
// in lower case. Nil means that there is no such name; of other answers, a query
// gets the addresses of its family, to which IPv4-mapped ones belong as IPv6.
//
// A lookup sends one query for each family. Those of a name are counted from 1,
// each family for itself, so that both halves of a lookup have the same number.
// Answers is never called twice at a time.
func Serve(t testing.TB, answers func(name string, query int) []netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(t, conn, answers)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "udp", conn.LocalAddr().String())
		},
	}
}

func serve(t testing.TB, conn net.PacketConn, answers func(string, int) []netip.Addr) {
	type half struct {
		name   string
		family dnsmessage.Type
	}
	queries := make(map[half]int)
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		var query dnsmessage.Message
		if err := query.Unpack(buf[:n]); err != nil || len(query.Questions) != 1 {
			t.Errorf("not a query: %v", err)
			continue
		}
		question := query.Questions[0]
		name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
		asked := half{name, question.Type}
		queries[asked]++
		packed, err := reply(query.ID, question, answers(name, queries[asked])).Pack()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _ = conn.WriteTo(packed, from) // who asked may be gone
	}
}

// reply is what the server says to a question. It is authoritative, because a
// resolver takes an empty answer of another server for a referral.
func reply(id uint16, question dnsmessage.Question, addrs []netip.Addr) *dnsmessage.Message {
	msg := &dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	if addrs == nil {
		msg.RCode = dnsmessage.RCodeNameError
	}
	for _, addr := range addrs {
		var body dnsmessage.ResourceBody
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			body = &dnsmessage.AResource{A: addr.As4()}
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		msg.Answers = append(msg.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class}, // TTL 0
			Body:   body,
		})
	}
	return msg
}
