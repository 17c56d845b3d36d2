// Package payments is a participant in sagas, written by hand, and a client that starts them.
//
// The contracts in amends/v1 are generated: `go generate` compiles what `amends protos --copy contracts` has
// put there. It needs protoc; the plugins have their versions in go.mod.
package payments

//go:generate go build -o bin/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
//go:generate protoc -I contracts --plugin=bin/protoc-gen-go --plugin=bin/protoc-gen-go-grpc --go_out=. --go-grpc_out=. amends/v1/participant.proto amends/v1/saga.proto amends/v1/event.proto amends/v1/coordinator.proto
