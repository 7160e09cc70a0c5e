package programs

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

const grpcVersion = "@v1.83.2"

// TestGRPCServer: gRPC's own test server, with streams to it, from it, and both at
// once.
func TestGRPCServer(t *testing.T) {
	large(t)
	image := build(t, "google.golang.org/grpc/interop/server"+grpcVersion)
	addr, publish := port(t, "10000")
	s := serve(t, "-p", publish, image, "--", "--port", "10000")
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewTestServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s.eventually("a call", func() error {
		_, err := client.EmptyCall(ctx, &pb.Empty{})
		return err
	})
	const size, count = 100_000, 20
	t.Run("to it", func(t *testing.T) {
		stream, err := client.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range count {
			if err := stream.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
				t.Fatal(err)
			}
		}
		if sum, err := stream.CloseAndRecv(); err != nil || sum.AggregatedPayloadSize != size*count {
			t.Errorf("%v, %v", sum, err)
		}
	})
	t.Run("from it", func(t *testing.T) {
		ask := &pb.StreamingOutputCallRequest{}
		for i := range count {
			ask.ResponseParameters = append(ask.ResponseParameters, &pb.ResponseParameters{Size: int32(size + i)})
		}
		stream, err := client.StreamingOutputCall(ctx, ask)
		if err != nil {
			t.Fatal(err)
		}
		for i := range count {
			if m, err := stream.Recv(); err != nil || len(m.Payload.Body) != size+i {
				t.Fatalf("message %d: %d bytes, %v", i, len(m.GetPayload().GetBody()), err)
			}
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("the end of the stream: %v", err)
		}
	})
	t.Run("both at once", func(t *testing.T) {
		stream, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			ask := &pb.StreamingOutputCallRequest{
				ResponseParameters: []*pb.ResponseParameters{{Size: int32(i)}}, Payload: &pb.Payload{Body: make([]byte, 1000)},
			}
			if err := stream.Send(ask); err != nil {
				t.Fatal(err)
			}
			if m, err := stream.Recv(); err != nil || len(m.Payload.Body) != i {
				t.Fatalf("answer %d: %d bytes, %v", i, len(m.GetPayload().GetBody()), err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("the end of the stream: %v", err)
		}
	})
}

// TestGRPCClient: gRPC's own test client, which calls a server on the host.
func TestGRPCClient(t *testing.T) {
	large(t)
	image := build(t, "google.golang.org/grpc/interop/client"+grpcVersion)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterTestServiceServer(server, interop.NewTestServer())
	go server.Serve(l)
	defer server.Stop()
	_, number, _ := net.SplitHostPort(l.Addr().String())
	for what, said := range map[string]string{
		"large_unary": "LargeUnaryCall", "client_streaming": "ClientStreaming", "server_streaming": "ServerStreaming",
		"ping_pong": "Pingpong", "cancel_after_first_response": "CancelAfterFirstResponse",
		"timeout_on_sleeping_server": "TimeoutOnSleepingServer",
	} {
		t.Run(what, func(t *testing.T) {
			out := output(t, "-e", "GRPC_GO_LOG_SEVERITY_LEVEL=info", image, "--", "--server_host", "10.0.2.2", "--server_port", number, "--test_case", what)
			if !strings.Contains(out, said+" done") {
				t.Errorf("it did not say that %s is done:\n%s", said, out)
			}
		})
	}
}
