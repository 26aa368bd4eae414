# The few commands there are. On a fresh machine with Go, make and git they do
# all the set-up themselves.

GO ?= go
FUNCTIONS := request poller catalog
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: demo test check fuzz lint build run invoke token deploy bench bench-diskimage tools

# Export one image from the HTTP call to the notification, and compare.
# IMAGES=dir IMAGE=m-... takes your own disks, FORMAT=qcow2 (vhd, vdi, vmdk) another
# format than raw.
demo: tools
	$(GO) run ./local/demo $(if $(IMAGES),-images '$(IMAGES)') $(if $(IMAGE),-image '$(IMAGE)') $(if $(FORMAT),-format '$(FORMAT)')

test: tools
	$(GO) test -shuffle=on -timeout 10m $(TESTFLAGS) ./...

# What CI runs. The race detector needs a C compiler.
check: lint
	$(MAKE) test TESTFLAGS=-race

# Every fuzz target for a minute, one after the other: about 40 minutes.
# make fuzz P=./shared/diskimage/... FUZZTIME=10m
P ?= ./...
FUZZTIME ?= 1m
fuzz: tools
	@list=$$($(GO) test -list '^Fuzz' $(P)) || { echo "$$list"; exit 1; }; \
	echo "$$list" | awk '/^Fuzz/ { name[++n] = $$1 } /^ok/ { for (i = 1; i <= n; i++) print $$2, name[i]; n = 0 }' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; \
	done

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt these:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# What is deployed: one static executable for each function.
build:
	@for f in $(FUNCTIONS); do \
		echo "build/$$f/main"; \
		GOOS=linux GOARCH=amd64 CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o build/$$f/main ./functions/$$f || exit 1; \
	done

# The stand-in cloud with the functions deployed, until stopped.
run: tools
	$(GO) run ./local $(ARGS)

# Invoke a function of a running stand-in: make invoke F=catalog E=events/samples/object-created.json
# (DATA=dir if it runs with another folder than .local).
invoke:
	@$(GO) run ./local/invoke -function '$(F)' -event '$(E)' $(if $(DATA),-data '$(DATA)')

# Another token of a running stand-in: make token ARGS='-subject ci -scope exports:read'
# (-data dir if it runs with another folder than .local).
token:
	@$(GO) run ./local/token $(ARGS)

# Make what the functions need in the account, then the functions. Reads .env;
# docs/deploy.md tells what it has to hold.
deploy:
	@command -v s >/dev/null || { echo "deploy: Serverless Devs is missing: npm install -g @serverless-devs/s"; exit 1; }
	$(MAKE) build
	set -ea; [ ! -f .env ] || . ./.env; set +a; $(GO) run ./setup; s deploy -y

bench: build
	$(GO) run ./local/bench

# Package diskimage beside qemu-img, tar, gzip and pigz; some minutes.
# ARGS='-only vmdk' measures a part, ARGS='-dir /some/disk' keeps the disk.
bench-diskimage: tools
	$(GO) run ./shared/diskimage/bench $(ARGS)

# Sample disks are made with mke2fs and mkfs.xfs, and judged by e2fsck, disk images by qemu-img.
tools:
	@for t in mke2fs e2fsck debugfs mkfs.xfs tar qemu-img; do command -v $$t >/dev/null || missing="$$missing $$t"; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -qq -y e2fsprogs xfsprogs tar qemu-utils; \
		else \
			echo "missing:$$missing. Install e2fsprogs, xfsprogs, GNU tar and qemu-utils."; exit 1; \
		fi; \
	fi
