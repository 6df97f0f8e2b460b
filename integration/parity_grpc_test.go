package integration

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// talk is a bidirectional stream on which every request is answered before the
// next one comes; the words are those of the health service's messages.
var talk = grpc.StreamDesc{StreamName: "Talk", ServerStreams: true, ClientStreams: true}

// newGRPCUpstream starts a gRPC server without TLS. It reports the metadata of
// each stream, and how each ended.
func newGRPCUpstream(t *testing.T) (url string, streams <-chan metadata.MD, ended <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began, over := make(chan metadata.MD, 1), make(chan error, 1)
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	desc := talk
	desc.Handler = func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		began <- md
		stream.SetTrailer(metadata.Pairs("x-last", "last"))
		err := answerEach(stream)
		over <- err
		return err
	}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Chat", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, nil)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return "http://" + listener.Addr().String(), began, over
}

func answerEach(stream grpc.ServerStream) error {
	for {
		var word healthpb.HealthCheckRequest
		err := stream.RecvMsg(&word)
		if errors.Is(err, io.EOF) {
			return status.Error(codes.AlreadyExists, "said everything")
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&healthpb.HealthCheckRequest{Service: "heard " + word.GetService()}); err != nil {
			return err
		}
	}
}

// eachGRPC runs a test with a gRPC client of each route, with and without TLS.
func eachGRPC(t *testing.T, url string, test func(t *testing.T, ctx context.Context, conn *grpc.ClientConn, prefix string)) {
	t.Helper()
	id := newIdentity(t)
	site := paritySite(t, url, "transport http {\nversions h2c 2\n}")
	for name, begin := range map[string]func(*testing.T) (*server, credentials.TransportCredentials){
		"h2c": func(t *testing.T) (*server, credentials.TransportCredentials) {
			return start(t, "servers {\nprotocols h1 h2c\n}", site), insecure.NewCredentials()
		},
		"h2": func(t *testing.T) (*server, credentials.TransportCredentials) {
			return startTLS(t, id, "", site), credentials.NewClientTLSFromCert(id.pool, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, creds := begin(t)
			eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
				skipRacy(t, prefix)
				conn, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(creds))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				t.Cleanup(cancel)
				test(t, metadata.AppendToOutgoingContext(ctx, "authorization", aliceCredentials), conn, prefix)
			})
		})
	}
}

// A conversation: every message is answered before the next one is sent.
func TestParityGRPCStream(t *testing.T) {
	url, streams, ended := newGRPCUpstream(t)
	eachGRPC(t, url, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn, prefix string) {
		stream, err := conn.NewStream(ctx, &talk, prefix+"/test.Chat/Talk")
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"one", "two", "three"} {
			if err := stream.SendMsg(&healthpb.HealthCheckRequest{Service: word}); err != nil {
				t.Fatal(err)
			}
			var heard healthpb.HealthCheckRequest
			if err := stream.RecvMsg(&heard); err != nil || heard.GetService() != "heard "+word {
				t.Fatalf("%s: %q, %v", word, heard.GetService(), err)
			}
		}
		md := await(t, "the stream", streams)
		if user := md.Get("blink-auth-userid"); isConnector(prefix) && (len(user) != 1 || user[0] != "alice") {
			t.Errorf("the metadata is %v", md)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(new(healthpb.HealthCheckRequest))
		if status.Code(err) != codes.AlreadyExists || status.Convert(err).Message() != "said everything" {
			t.Errorf("the stream ended with %v", err)
		}
		if last := stream.Trailer().Get("x-last"); len(last) != 1 || last[0] != "last" {
			t.Errorf("the trailer is %v", stream.Trailer())
		}
		await(t, "the end of the stream", ended)
	})
}

// Calls, also those that are answered by nothing but trailers.
func TestParityGRPCCalls(t *testing.T) {
	url, _, _ := newGRPCUpstream(t)
	eachGRPC(t, url, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn, prefix string) {
		for service, want := range map[string]codes.Code{"": codes.OK, "unknown": codes.NotFound} {
			var answer healthpb.HealthCheckResponse
			err := conn.Invoke(ctx, prefix+"/grpc.health.v1.Health/Check", &healthpb.HealthCheckRequest{Service: service}, &answer)
			if status.Code(err) != want || want == codes.OK && answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("%q: %v, %v", service, &answer, err)
			}
		}
		err := conn.Invoke(ctx, prefix+"/test.Chat/Unknown", new(healthpb.HealthCheckRequest), new(healthpb.HealthCheckResponse))
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("unknown method: %v", err)
		}
	})
}

// A stream that the client cancels is cancelled at the upstream.
func TestParityGRPCCancel(t *testing.T) {
	url, streams, ended := newGRPCUpstream(t)
	eachGRPC(t, url, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn, prefix string) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if _, err := conn.NewStream(ctx, &talk, prefix+"/test.Chat/Talk"); err != nil {
			t.Fatal(err)
		}
		await(t, "the stream", streams)
		cancel()
		if err := await(t, "the end of the stream", ended); err == nil || status.Code(err) == codes.AlreadyExists {
			t.Errorf("the upstream's stream ended with %v, as if the client had said everything", err)
		}
	})
}
