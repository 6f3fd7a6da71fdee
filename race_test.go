//go:build race

package pool

const raceBuild = true
