package stdlog

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is a log that may be written and read at the same time.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func logTo(t *testing.T) *output {
	o, before := new(output), log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	log.SetOutput(o)
	Guard()
	return o
}

// chatty is a server that echoes the first header of a request once more than it
// was asked to.
func chatty(t *testing.T) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-Echo: "+request.Header.Get("Authorization")+"\r\n\r\n")
				_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// What net/http logs of a real server, in the words it has in this version of Go,
// is without what the server has sent.
func TestUnsolicited(t *testing.T) {
	for _, flags := range []int{0, log.LstdFlags} {
		o := logTo(t)
		before := log.Flags()
		log.SetFlags(flags)
		t.Cleanup(func() { log.SetFlags(before) })
		client := &http.Transport{}
		t.Cleanup(client.CloseIdleConnections)
		request, err := http.NewRequest(http.MethodGet, "http://"+chatty(t)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer hidden-token")
		res, err := client.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(o.String(), "\n"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is logged: net/http no longer does, or nobody reads the connection")
			}
		}
		if got := o.String(); !strings.HasSuffix(got, "Unsolicited response received on idle HTTP channel, which is not shown\n") || strings.Contains(got, "hidden") {
			t.Errorf("the log has %q", got)
		}
	}
}

func TestOtherEntries(t *testing.T) {
	o := logTo(t)
	log.SetFlags(0)
	t.Cleanup(func() { log.SetFlags(log.LstdFlags) })
	Guard() // twice is once
	if inner := log.Writer().(guarded).Writer; inner != o {
		t.Errorf("the log goes through %T", inner)
	}
	log.Print("http: something else")
	if got := o.String(); got != "http: something else\n" {
		t.Errorf("the log has %q", got)
	}
}
