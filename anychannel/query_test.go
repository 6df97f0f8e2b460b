package anychannel

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseQuery(t *testing.T) {
	long, tooLong := "/"+strings.Repeat("x", 510), "/"+strings.Repeat("x", 511)
	wide, tooWide := "/"+strings.Repeat("ü", 509)+"👍", "/"+strings.Repeat("ü", 510)+"👍"
	for _, tc := range []struct {
		raw     string
		want    parameters // of a query that is good
		refused *refusal
	}{
		{"ticket_id=62&post_to_path=/like", parameters{"62", "/like"}, nil},
		{"post_to_path=/like&ticket_id=62", parameters{"62", "/like"}, nil},
		{"a=b&ticket_id=62&&c&post_to_path=/like&=d&", parameters{"62", "/like"}, nil},
		{"ticket%5Fid=%36%32&post%5fto_path=%2Flike", parameters{"62", "/like"}, nil},
		{"%ticket_id=1&a=%zz&%=&ticket_id=62&post_to_path=/like&b=%", parameters{"62", "/like"}, nil}, // foreign ones may be malformed
		{"Ticket_id=1&ticket_id[]=2&ticket-id=3&ticket_id=62&post_to_path=/like&POST_TO_PATH=/x", parameters{"62", "/like"}, nil},

		// what a value may have
		{"ticket_id=62&post_to_path=/a+b%20c", parameters{"62", "/a b c"}, nil},
		{"ticket_id=62&post_to_path=/a%2Bb%26c%3Dd%25%23", parameters{"62", "/a+b&c=d%#"}, nil},
		{"ticket_id=62&post_to_path=/a%252Fb", parameters{"62", "/a%2Fb"}, nil},
		{"ticket_id=62&post_to_path=/a;b=c;d", parameters{"62", "/a;b=c;d"}, nil},
		{"a;b&ticket_id=62&post_to_path=/a%3Bb", parameters{"62", "/a;b"}, nil},
		{"ticket_id=62&post_to_path=/a?b=c", parameters{"62", "/a?b=c"}, nil},
		{"ticket_id=62&post_to_path==", parameters{"62", "="}, nil},
		{"ticket_id=62&post_to_path=https://omni.example:8443/l%C3%AFke", parameters{"62", "https://omni.example:8443/lïke"}, nil},
		{"ticket_id=62&post_to_path=/%ff%00", parameters{"62", "/\xff\x00"}, nil}, // resolve refuses it

		// length, in characters after decoding
		{"ticket_id=62&post_to_path=" + long, parameters{"62", long}, nil},
		{"ticket_id=62&post_to_path=" + tooLong, parameters{}, errPathLong},
		{"ticket_id=62&post_to_path=" + url.QueryEscape(wide), parameters{"62", wide}, nil},
		{"ticket_id=62&post_to_path=" + url.QueryEscape(tooWide), parameters{}, errPathLong},
		{"ticket_id=62&post_to_path=" + tooWide, parameters{}, errPathLong},
		{"ticket_id=62&post_to_path=" + strings.Repeat("%ff", 512), parameters{}, errPathLong},

		// missing, empty, repeated
		{"", parameters{}, errNoTicket},
		{"post_to_path=/like", parameters{}, errNoTicket},
		{"ticket_id=&post_to_path=/like", parameters{}, errNoTicket},
		{"ticket_id&post_to_path=/like", parameters{}, errNoTicket},
		{"ticket_id=62", parameters{}, errNoPath},
		{"ticket_id=62&post_to_path=", parameters{}, errNoPath},
		{"ticket_id=62&post_to_path", parameters{}, errNoPath},
		{"ticket_id=62;post_to_path=/like", parameters{}, errTicketID},
		{"ticket_id=62&ticket_id=63&post_to_path=/like", parameters{}, errTicketTwo},
		{"ticket_id=62&post_to_path=/like&ticket_id=62", parameters{}, errTicketTwo},
		{"ticket_id=&ticket_id=62&post_to_path=/like", parameters{}, errTicketTwo},
		{"ticket_id=62&ticket%5fid&post_to_path=/like", parameters{}, errTicketTwo},
		{"ticket_id=62&post_to_path=/like&post_to_path=/like", parameters{}, errPathTwo},
		{"ticket_id=62&post_to_path=/like&post_to_path=", parameters{}, errPathTwo},
		{"ticket_id=62&post_to_path=&post_to_path=/like", parameters{}, errPathTwo},

		// malformed escapes in ours
		{"ticket_id=%&post_to_path=/like", parameters{}, errTicketID},
		{"ticket_id=6%2&post_to_path=/like", parameters{}, errTicketID},
		{"ticket_id=62&post_to_path=/%", parameters{}, errPath},
		{"ticket_id=62&post_to_path=/%zz", parameters{}, errPath},
		{"ticket_id=62&post_to_path=/%e", parameters{}, errPath},
	} {
		got, refused := parseQuery(tc.raw)
		if refused != tc.refused || refused == nil && got != tc.want {
			t.Errorf("%.100q: %q, %v", tc.raw, got, reasonOf(refused))
		}
	}
}

// A ticket's number has one spelling, so that sources and logs have one too.
func TestTicketIDs(t *testing.T) {
	for _, id := range []string{"1", "62", "10", "9223372036854775807", "9999999999999999999"} {
		if p, refused := parseQuery("post_to_path=/like&ticket_id=" + id); refused != nil || p.ticketID != id {
			t.Errorf("%s: %q, %v", id, p.ticketID, reasonOf(refused))
		}
	}
	for _, id := range []string{
		"0", "00", "062", "+62", "-62", "6.2", "62.", "6,2", "62a", "a62", "0x3e", "6e1", "6_2", "62 ", " 62", "6 2", "62\n", "62\x00",
		"12345678901234567890", strings.Repeat("9", 1000), "６２", "٦٢", "6²", "\xff", "..", "62/", "62?a", "62#", "62%", "{ticket_id}",
	} {
		if _, refused := parseQuery("post_to_path=/like&ticket_id=" + url.QueryEscape(id)); refused != errTicketID {
			t.Errorf("%q: %v", id, reasonOf(refused))
		}
	}
	if _, refused := parseQuery("post_to_path=/like&ticket_id=+62"); refused != errTicketID { // a space
		t.Errorf("+62: %v", reasonOf(refused))
	}
}

func reasonOf(r *refusal) string {
	if r == nil {
		return "passed"
	}
	return r.reason
}
