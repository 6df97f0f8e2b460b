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

// retryAfter reads how long the API wants to be left alone (RFC 9110, section
// 10.2.3): seconds, or a date, by the API's clock if it tells the time.
func retryAfter(o Outcome) (wait time.Duration, ok bool) {
	values := o.Header["Retry-After"]
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
	now := o.Now
	if theirs, err := http.ParseTime(o.Header.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(date.Sub(now), 0), maxAsked), true
}
