package signature

import (
	"bytes"
	"net/http"
	"testing"
	"time"
)

func BenchmarkSign(b *testing.B) {
	private := parsed(b, vectorPrivate)
	for name, secrets := range map[string][]Secret{
		"v1": {parsed(b, vectorSecret)}, "v1x2": {parsed(b, vectorSecret), NewSecret()}, "v1a": {private},
	} {
		b.Run(name, func(b *testing.B) {
			h := make(http.Header)
			body := bytes.Repeat([]byte("x"), 2000)
			at := time.Unix(vectorTime, 0)
			b.ReportAllocs()
			for b.Loop() {
				if err := Sign(h, Names{}, vectorID, at, body, secrets...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, key := range map[string]string{"v1": vectorSecret, "v1a": vectorPublic} {
		b.Run(name, func(b *testing.B) {
			h := http.Header{
				"Webhook-Id": {vectorID}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {vectorV1 + " " + vectorV1a},
			}
			v := verifier(b, key)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(h, Names{}, []byte(vectorBody), time.Unix(vectorTime, 0), DefaultTolerance, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
