// Command payments serves the participant.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"example.com/payments/accounts"
	pb "example.com/payments/amends/v1"
	"example.com/payments/fence"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:50052", "where to listen, as `HOST:PORT`")
	store := flag.String("store", "payments.db", "the SQLite `FILE` of the accounts and the fence")
	flag.Parse()
	if err := serve(*listen, *store); err != nil {
		log.Fatalf("payments: %v", err)
	}
}

func serve(listen, store string) error {
	fence, err := fence.Open(store, accounts.Schema)
	if err != nil {
		return err
	}
	defer fence.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pb.RegisterParticipantServer(server, &service{fence: fence})

	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-stopped.Done()
		server.Stop() // calls under way are rolled back, or their answers are known when they are repeated
	}()
	fmt.Printf("payments: listening on %s\n", listener.Addr())
	return server.Serve(listener)
}
