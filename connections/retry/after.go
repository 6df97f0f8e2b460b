package retry

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAsked bounds what an answer can ask for: it is more than any request waits.
const maxAsked = time.Hour

// After reads how long a server wants to be left alone (RFC 9110, section
// 10.2.3): seconds, or a date, by the server's clock if its answer tells the
// time. It is an hour at most.
func After(header http.Header, now time.Time) (wait time.Duration, ok bool) {
	values := header["Retry-After"]
	if len(values) == 0 {
		return 0, false
	}
	value := strings.TrimSpace(values[0])
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest there is
		return time.Duration(min(seconds, uint64(maxAsked/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(date.Sub(now), 0), maxAsked), true
}
