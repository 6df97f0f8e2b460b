package main

import (
	"bufio"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{9, 1, 4, 2}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct {
		sorted []int
		p      float64
		want   int
	}{
		{nil, 99, 0},
		{[]int{7}, 50, 7},
		{[]int{7}, 99, 7},
		{[]int{1, 2}, 50, 1},
		{[]int{1, 2, 3}, 50, 2},
		{hundred, 0, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
	} {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("percentile(%d values, %v) = %v, want %v", len(test.sorted), test.p, got, test.want)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	for answer, ok := range map[string]bool{
		"HTTP/1.1 200 OK\r\nVia: x\r\nContent-Length: 2\r\n\r\nok":   true,
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok":             true,
		"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nok":            false,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok!":            false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no":              false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": false,
		"": false,
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(answer)), http.StatusOK, 2)
		if (err == nil) != ok {
			t.Errorf("readAnswer(%q) = %v", answer, err)
		}
	}
}

func TestBudgetKept(t *testing.T) {
	b := budget{throughput: 1.20, p99: 1.00}
	for _, test := range []struct {
		throughput, p99 float64
		want            bool
	}{
		{1.20, 1.00, true},
		{1.196, 1.004, true}, // printed as the budget
		{1.19, 0.90, false},
		{1.30, 1.01, false},
	} {
		if got := b.kept(test.throughput, test.p99); got != test.want {
			t.Errorf("kept(%v, %v) = %v", test.throughput, test.p99, got)
		}
	}
	if !(budget{}).kept(0.1, 9) {
		t.Error("no budget was missed")
	}
}
