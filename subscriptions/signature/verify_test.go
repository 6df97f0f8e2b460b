package signature

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func vectorHeader() http.Header {
	return http.Header{
		"Webhook-Id": {vectorID}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {vectorV1},
	}
}

// Every change makes a good message a bad one, with an error that holds nothing
// of it.
func TestVerifyRefuses(t *testing.T) {
	const id, timestamp, signature = "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	list := func(signatures ...string) func(http.Header) { return set(signature, strings.Join(signatures, " ")) }
	const other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
	for name, tc := range map[string]struct {
		want   error
		change func(http.Header)
	}{
		"as it was":              {nil, func(http.Header) {}},
		"keys in lower case":     {nil, func(h http.Header) { h["webhook-id"] = h[id]; delete(h, id) }},
		"among others":           {nil, list(other, "v2,x", vectorV1, "v1a,x", "v1,x")},
		"second of many":         {nil, list(other, vectorV1)},
		"unknown versions":       {nil, list("v0,,,", "v1x,y", "x,y", vectorV1)},
		"sixteen":                {nil, list(append(repeat(other, 15), vectorV1)...)},
		"seventeen":              {ErrMalformed, list(append(repeat(other, 16), vectorV1)...)},
		"seventeen, ours first":  {ErrMalformed, list(append([]string{vectorV1}, repeat("v2,x", 16)...)...)},
		"no id":                  {ErrMissing, func(h http.Header) { delete(h, id) }},
		"no timestamp":           {ErrMissing, func(h http.Header) { delete(h, timestamp) }},
		"no signature":           {ErrMissing, func(h http.Header) { delete(h, signature) }},
		"nothing":                {ErrMissing, func(h http.Header) { clear(h) }},
		"empty id":               {ErrMissing, set(id, "")},
		"empty timestamp":        {ErrMissing, set(timestamp, "")},
		"empty signature":        {ErrMissing, set(signature, "")},
		"no value of id":         {ErrMissing, set(id)},
		"other prefix":           {ErrMissing, func(h http.Header) { h["Svix-Id"] = h[id]; delete(h, id) }},
		"alias only":             {ErrMissing, func(h http.Header) { h["Webhook_Id"] = h[id]; delete(h, id) }},
		"id twice":               {ErrMalformed, set(id, vectorID, vectorID)},
		"id twice, one empty":    {ErrMalformed, set(id, vectorID, "")},
		"timestamp twice":        {ErrMalformed, set(timestamp, "1614265330", "1614265330")},
		"signature twice":        {ErrMalformed, set(signature, vectorV1, vectorV1)},
		"id twice, alias":        {ErrMalformed, set("Webhook_id", vectorID)},
		"signature twice, alias": {ErrMalformed, set("webhook.signature", vectorV1)},
		"dot in id":              {ErrMalformed, set(id, vectorID+".1")},
		"space in id":            {ErrMalformed, set(id, vectorID+" ")},
		"control in id":          {ErrMalformed, set(id, vectorID+"\x7f")},
		"id not ASCII":           {ErrMalformed, set(id, vectorID+"é")},
		"id too long":            {ErrMalformed, set(id, strings.Repeat("x", 256))},
		"longest id":             {ErrNoMatch, set(id, strings.Repeat("x", 255))},
		"other id":               {ErrNoMatch, set(id, "msg_p5jXN8AQM9LWM0D4loKWxJel")},
		"id in capitals":         {ErrNoMatch, set(id, strings.ToUpper(vectorID))},
		"part of id":             {ErrNoMatch, set(id, vectorID[:10])},
		"timestamp of words":     {ErrMalformed, set(timestamp, "now")},
		"timestamp signed":       {ErrMalformed, set(timestamp, "+1614265330")},
		"timestamp negative":     {ErrMalformed, set(timestamp, "-1614265330")},
		"timestamp minus zero":   {ErrMalformed, set(timestamp, "-0")},
		"timestamp padded":       {ErrMalformed, set(timestamp, "01614265330")},
		"timestamp spaced":       {ErrMalformed, set(timestamp, " 1614265330")},
		"timestamp of fractions": {ErrMalformed, set(timestamp, "1614265330.0")},
		"timestamp exponential":  {ErrMalformed, set(timestamp, "1e9")},
		"timestamp hexadecimal":  {ErrMalformed, set(timestamp, "0x6037c0f2")},
		"timestamp underscored":  {ErrMalformed, set(timestamp, "1_614_265_330")},
		"timestamp of a date":    {ErrMalformed, set(timestamp, "2021-02-25T15:02:10Z")},
		"timestamp overflows":    {ErrMalformed, set(timestamp, "9223372036854775808")},
		"timestamp of the end":   {ErrTooEarly, set(timestamp, "9223372036854775807")},
		"timestamp in ms":        {ErrTooEarly, set(timestamp, "1614265330000")},
		"timestamp zero":         {ErrExpired, set(timestamp, "0")},
		"other timestamp":        {ErrNoMatch, set(timestamp, "1614265331")},
		"signature no version":   {ErrMalformed, list(vectorV1[3:])},
		"signature no value":     {ErrMalformed, list("v1,")},
		"signature of a comma":   {ErrMalformed, list(",")},
		"empty version":          {ErrMalformed, list(vectorV1[2:])},
		"two spaces":             {ErrMalformed, list(vectorV1, "", vectorV1)},
		"leading space":          {ErrMalformed, list("", vectorV1)},
		"trailing space":         {ErrMalformed, list(vectorV1, "")},
		"tab":                    {ErrNoMatch, set(signature, "v2,x\t"+vectorV1)},
		"commas for spaces":      {ErrNoMatch, set(signature, "v2,x,"+vectorV1)},
		"other signature":        {ErrNoMatch, list(other)},
		"version in capitals":    {ErrNoMatch, list("V" + vectorV1[1:])},
		"v1a of v1":              {ErrNoMatch, list("v1a" + vectorV1[2:])},
		"v2 of v1":               {ErrNoMatch, list("v2" + vectorV1[2:])},
		"value in lower case":    {ErrNoMatch, list(strings.ToLower(vectorV1))},
		"value unpadded":         {ErrNoMatch, list(strings.TrimRight(vectorV1, "="))},
		"value of other bits":    {ErrNoMatch, list(strings.Replace(vectorV1, "E=", "F=", 1))},
		"value longer":           {ErrNoMatch, list(vectorV1 + "=")},
		"value URL-safe":         {ErrNoMatch, list(strings.NewReplacer("+", "-", "/", "_").Replace(vectorV1))},
		"value with a line":      {ErrNoMatch, list(vectorV1[:10] + "\n" + vectorV1[10:])},
		"v1a of v1a, no key":     {ErrNoMatch, list(vectorV1a)},
	} {
		h := vectorHeader()
		tc.change(h)
		m, err := Verify(h, Names{}, []byte(vectorBody), time.Unix(vectorTime, 0), DefaultTolerance, verifier(t, vectorSecret))
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		for _, other := range []error{ErrMissing, ErrMalformed, ErrExpired, ErrTooEarly, ErrNoMatch} {
			if other != tc.want && errors.Is(err, other) {
				t.Errorf("%s: %v is %v too", name, err, other)
			}
		}
		if err != nil && (m != (Message{}) || len(err.Error()) > 80) {
			t.Errorf("%s: %v %v", name, m, err)
		}
		for _, values := range h {
			for _, value := range values {
				if err != nil && len(value) > 3 && strings.Contains(err.Error(), value) {
					t.Errorf("%s: the error holds a value: %v", name, err)
				}
			}
		}
	}
}

func repeat(text string, n int) []string { return slices.Repeat([]string{text}, n) }

// A change of any byte of the body is seen, and so is where it begins.
func TestVerifyBody(t *testing.T) {
	for _, key := range []string{vectorSecret, vectorPublic} {
		h := vectorHeader()
		h.Set("Webhook-Signature", vectorV1+" "+vectorV1a)
		verify := func(body string) error {
			_, err := Verify(h, Names{}, []byte(body), time.Unix(vectorTime, 0), DefaultTolerance, verifier(t, key))
			return err
		}
		if err := verify(vectorBody); err != nil {
			t.Fatal(err)
		}
		for i := range vectorBody {
			changed := []byte(vectorBody)
			changed[i] ^= 1
			if err := verify(string(changed)); !errors.Is(err, ErrNoMatch) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
		for _, body := range []string{"", vectorBody + " ", " " + vectorBody, vectorBody[:len(vectorBody)-1], "." + vectorBody, vectorBody + "\n"} {
			if err := verify(body); !errors.Is(err, ErrNoMatch) {
				t.Errorf("%q: %v", body, err)
			}
		}
	}
}

// The dot is what keeps id, timestamp and body apart.
func TestVerifyMoved(t *testing.T) {
	secret := NewSecret()
	h := make(http.Header)
	if err := Sign(h, Names{}, "msg", time.Unix(16, 0), []byte("1.body"), secret); err != nil {
		t.Fatal(err)
	}
	h.Set("Webhook-Timestamp", "161")
	for _, body := range []string{"body", ".body", "1.body"} {
		if _, err := Verify(h, Names{}, []byte(body), time.Unix(16, 0), time.Hour, secret); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestTolerance(t *testing.T) {
	h := vectorHeader()
	for _, tc := range []struct {
		now       time.Time
		tolerance time.Duration
		want      error
	}{
		{time.Unix(vectorTime+300, 999999999), DefaultTolerance, nil},
		{time.Unix(vectorTime-300, 0), DefaultTolerance, nil},
		{time.Unix(vectorTime+301, 0), DefaultTolerance, ErrExpired},
		{time.Unix(vectorTime-301, 999999999), DefaultTolerance, ErrTooEarly},
		{time.Unix(vectorTime+301, 0), time.Hour, nil},
		{time.Unix(vectorTime, 999999999), 0, nil},
		{time.Unix(vectorTime+1, 0), 0, ErrExpired},
		{time.Unix(vectorTime-1, 0), 999 * time.Millisecond, ErrTooEarly},
		{time.Unix(vectorTime-1, 0), 1999 * time.Millisecond, nil},
		{time.Unix(vectorTime, 0), -time.Second, ErrExpired},
		{time.Time{}, DefaultTolerance, ErrTooEarly},
		{time.Unix(1<<40, 0), DefaultTolerance, ErrExpired},
	} {
		_, err := Verify(h, Names{}, []byte(vectorBody), tc.now, tc.tolerance, verifier(t, vectorSecret))
		if !errors.Is(err, tc.want) {
			t.Errorf("%v with %v: %v, want %v", tc.now, tc.tolerance, err, tc.want)
		}
	}
}
