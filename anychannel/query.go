package anychannel

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// parameters are the query of a request, as far as it means something.
type parameters struct {
	ticketID   string
	postToPath string
}

// parseQuery reads the two parameters. Their order and other parameters don't
// matter. Unlike url.ParseQuery, it takes a semicolon for what it is in a path.
func parseQuery(rawQuery string) (parameters, *refusal) {
	var p parameters
	var ticketIDs, paths int
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		if nameErr != nil || name != "ticket_id" && name != "post_to_path" {
			continue
		}
		value, err := url.QueryUnescape(value)
		if name == "ticket_id" {
			ticketIDs++
			if p.ticketID = value; err != nil {
				return p, errTicketID
			}
			continue
		}
		paths++
		if p.postToPath = value; err != nil {
			return p, errPath
		}
	}
	switch {
	case ticketIDs > 1:
		return p, errTicketTwo
	case p.ticketID == "":
		return p, errNoTicket
	case !isTicketID(p.ticketID):
		return p, errTicketID
	case paths > 1:
		return p, errPathTwo
	case p.postToPath == "":
		return p, errNoPath
	case utf8.RuneCountInString(p.postToPath) > maxPostToPath:
		return p, errPathLong
	}
	return p, nil
}
