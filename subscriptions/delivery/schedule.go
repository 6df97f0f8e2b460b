package delivery

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// maxAge is for how long a delivery is tried.
const maxAge = 72 * time.Hour

// delays are the times between attempts; the last one repeats.
var delays = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
}

// jitter is the share by which a delay is longer or shorter at most.
const jitter = 0.2

// nextAttempt returns when a delivery is tried again that has now failed for the
// given number of times since it was published or replayed, and whose endpoint
// wants to be left alone for a while, or false where it is too old by then.
func nextAttempt(tries int, since, now time.Time, pause time.Duration) (time.Time, bool) {
	due := now.Add(max(pause, jittered(delays[min(max(tries, 1), len(delays))-1])))
	return due, due.Sub(since) <= maxAge
}

// maxRetryAfter bounds how long a subscriber can have itself waited for.
const maxRetryAfter = 10 * time.Hour

// retryAfter reads the field of that name (RFC 9110, section 10.2.3) from an
// answer 429 or 503: how long the whole endpoint wants to be left alone.
func retryAfter(res *http.Response, now time.Time) time.Duration {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := res.Header.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest there is
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
