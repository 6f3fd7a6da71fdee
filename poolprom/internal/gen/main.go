// Gen writes dashboard.json and alerts.yaml of package poolprom. Run it in the folder of that
// package:
//
//	go run ./internal/gen
package main

import (
	"fmt"
	"log"
	"os"
)

// files are what gen writes, by their names.
var files = map[string]func() []byte{
	"dashboard.json": dashboard,
	"alerts.yaml":    alerts,
}

func main() {
	if _, err := os.Stat("poolprom.go"); err != nil {
		log.Fatalf("gen: this is not the folder of package poolprom: %v", err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, text(), 0o666); err != nil {
			log.Fatal("gen: ", err)
		}
	}
}

// quantile returns an expression for the quantile q of a histogram, from its native buckets if the
// server has them, and otherwise from the classic ones. The histogram is added up by some labels,
// or not if by is "".
func quantile(q float64, name, matchers, window, by string) string {
	native := fmt.Sprintf("rate(%s%s[%s])", name, matchers, window)
	classic := fmt.Sprintf("rate(%s_bucket%s[%s])", name, matchers, window)
	if by != "" {
		native = fmt.Sprintf("sum by (%s) (%s)", by, native)
		classic = fmt.Sprintf("sum by (%s, le) (%s)", by, classic)
	}
	return fmt.Sprintf("histogram_quantile(%v, %s) or histogram_quantile(%v, %s)", q, native, q, classic)
}
