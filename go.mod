module github.com/headrace-go/pool

go 1.26.0

require go.uber.org/automaxprocs v1.6.0

require golang.org/x/sync v0.25.0
