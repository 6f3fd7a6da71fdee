module github.com/headrace-go/pool/porcupine

go 1.26.0

require github.com/headrace-go/pool v0.0.0

require golang.org/x/sync v0.25.0 // indirect

require (
	github.com/anishathalye/porcupine v1.3.1
	go.uber.org/automaxprocs v1.6.0 // indirect
)

replace github.com/headrace-go/pool => ../
