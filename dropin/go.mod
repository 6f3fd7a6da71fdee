module github.com/headrace-go/pool/dropin

go 1.26.0

require (
	github.com/headrace-go/pool v0.0.0
	golang.org/x/sync v0.25.0
)

require go.uber.org/automaxprocs v1.6.0 // indirect

replace github.com/headrace-go/pool => ..
