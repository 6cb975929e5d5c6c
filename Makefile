# Everything a developer or a machine needs, by name. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help demo test e2e demo-minio bench bench-git sync-interval roundtrip soak-kill images images-check lint servers ui-screenshot soak clean

CARGO ?= cargo
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: ## builds a release and runs the example in examples/train.yaml on a folder
	$(CARGO) build --release --locked -p plx-pod
	mkdir -p .plx/store/datasets
	cp -R examples/data/. .plx/store/datasets/
	target/release/plx-pod run examples/train.yaml

demo-minio: ## the same against an S3 server: MinIO when PLX_DEMO_S3_ENDPOINT names one, else one that is built in
	$(CARGO) build --release --locked -p plx-pod
	$(CARGO) build --locked -p plx-testkit --bin plx-s3-server
	tests/demo-minio.sh

test: lint servers ## formatting, lints and every test; pods on a cluster too where one can be had (E2E=no leaves them out)
ifeq ($(NEXTEST),yes)
	$(CARGO) test --locked --workspace --doc --quiet
	$(CARGO) nextest run --locked --workspace
else
	$(CARGO) test --locked --workspace
endif
ifneq ($(E2E),no)
	tests/seen.sh
	tests/e2e.sh --where-possible
endif

e2e: ## our images in pods of Polyaxon's converter, on a real cluster; see tests/cluster/README.md
	tests/e2e.sh

lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets --features plx-tests/e2e -- -D warnings

servers:
	tests/servers.sh

bench: ## small and large transfers beside s5cmd and rclone on one server; needs some minutes and 8 GiB of disk
	$(CARGO) build --release --locked -p plx-init -p plx-sidecar
	tests/bench/peers.sh
	python3 tests/bench/bench.py

bench-git: ## a repository of 360 MB beside git, all of history and depth 1; needs two minutes and 2 GiB of disk
	$(CARGO) build --release --locked -p plx-init
	python3 tests/bench/git.py

roundtrip: ## 10 000 small files, one of 2 GiB and odd names: disk to S3 to disk, identical by hash
	$(CARGO) build --release --locked -p plx-init -p plx-sidecar
	tests/bench/peers.sh
	python3 tests/bench/roundtrip.py

sync-interval: ## what intervals from 1 s to "only at the end" cost three kinds of runs; needs five minutes
	$(CARGO) build --release --locked -p plx-sidecar
	tests/servers.sh moto
	python3 tests/bench/sync_interval.py

soak-kill: ## SIGKILL at 50 points of an upload of 2 GiB: what is sent again, what is left; needs minutes and 7 GiB of disk
	$(CARGO) test --locked --workspace --test binary -- --ignored --nocapture soak_a_large_upload

images: ## plx-init and plx-sidecar as container images, with docker, podman or buildah; see images/README.md
	images/make.sh

images-check: ## what the images promise, on the built images: size, rights, names, scripts, memory
	images/check.sh

soak: ## a day of a chatty run on a clock that is moved on; prints what is resident at each hour; some minutes
	$(CARGO) test --locked --workspace --features plx-tests/e2e --test soak -- --ignored --nocapture

ui-screenshot: ## a run of ours in Polyaxon's UI, as docs/images/run.png; needs chromium
	tests/seen.sh --picture docs/images/run.png

clean: ## removes what is built and what the examples left
	$(CARGO) clean
	rm -rf .plx
