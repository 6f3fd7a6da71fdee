# Everything that has to pass is in .ci/run. These are its parts, and what takes longer.

GO ?= go
FUZZTIME ?= 30s

.PHONY: test race fuzz mutate seams bench

test:
	$(GO) test ./...

race:
	$(GO) test -race -shuffle=on -cpu=1,2,8 -short ./...

# Each fuzz target of each package, for FUZZTIME.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

mutate:
	$(GO) run ./internal/mutate

seams:
	$(GO) test -tags seams -short -run Stress . ./internal/queue ./internal/strand ./internal/batch

bench:
	$(GO) test -run '^$$' -bench . ./...
