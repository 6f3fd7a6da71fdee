// Package migration has the code of the pages that docs/migration.md lists: the same work done with other packages and
// with the pool. Its tests run both and compare, and see to it that the pages show this code.
package migration

import "context"

// A fetcher gets a page. It stands for the work of the programs in this package.
type fetcher func(ctx context.Context, url string) (string, error)
