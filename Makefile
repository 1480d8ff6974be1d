# Each target is a short script; CI runs the same ones.
.PHONY: run test test-fast lint bench gates fuzz page docs lock clean

run: ; @scripts/run $(ARGS)

# LEAVE_OUT="node redis postgresql nginx browser curl" leaves out the tests that need these.
test: ; @LEAVE_OUT="$(LEAVE_OUT)" scripts/test $(ARGS)

test-fast: ; @scripts/test-fast $(ARGS)

lint: ; @scripts/lint

bench: ; @scripts/bench $(ARGS)

# Everything the gates have, in under an hour; writes docs/gates.md.
gates: ; @scripts/gates $(ARGS)

fuzz: ; @scripts/fuzz $(ARGS)

page: ; @scripts/page

docs: ; @scripts/docs $(ARGS)

lock: ; @scripts/lock

clean: ; @scripts/clean
