# The front door. `make run` and `make test` install what is missing and do everything else too.
#
#   make            the proxy and the Lua module: build/moondns, build/dns.so
#   make run        starts it with scripts/spoof.lua on 127.0.0.1:5300
#   make test       builds it twice (as it is shipped, and with sanitizers) and passes all the tests
#   make tsan       builds it with ThreadSanitizer and passes the tests of what threads share
#   make fuzz       each fuzz target for FUZZ_SECONDS, FUZZ_JOBS at a time; goes on where it was left: spec/fuzz/README.md
#   make bench      the benchmarks (BENCH_PARTS of spec/bench/parts, by default all)
#   make soak       SOAK_SECONDS (an hour) of traffic while scripts change and the upstream dies; see spec/soak/run
#   make install    PREFIX (/usr/local) and DESTDIR as usual
#   make format, make lint, make docs, make clean

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 1
FUZZ_TARGETS ?=
FUZZ_BUDGET ?=
FUZZ_KEEP ?=
export FUZZ_SECONDS FUZZ_JOBS FUZZ_BUDGET FUZZ_KEEP
BENCH_PARTS ?=
SOAK_SECONDS ?= 3600
SOAK_RATE ?=
SOAK_UPSTREAMS ?= 1
SOAK_WORKERS ?= 1
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# What is needed, as Debian's package and a check that it is there: command:NAME, pc:PKG-CONFIG-MODULE, header:FILE,
# lua:MODULE, python:MODULE or fuzzer:COMPILER. Only what fails its check is installed.
BUILD_NEEDS := gcc=command:cc libc6-dev=header:stdio.h cmake=command:cmake pkg-config=command:pkg-config \
	libluajit-5.1-dev=pc:luajit libevent-dev=pc:libevent_openssl libssl-dev=pc:libssl libcjson-dev=pc:libcjson \
	libidn2-dev=pc:libidn2 libpcre2-dev=pc:libpcre2-8 uthash-dev=header:uthash.h libfstrm-dev=pc:libfstrm \
	libprotobuf-c-dev=pc:libprotobuf-c protobuf-c-compiler=command:protoc-c libhiredis-dev=pc:hiredis
RUN_NEEDS := bind9-dnsutils=command:dig
TEST_NEEDS := $(RUN_NEEDS) luajit=command:luajit lua-busted=command:busted lua-posix=lua:posix lua-socket=lua:socket \
	libcmocka-dev=pc:cmocka knot=command:knotd nsd=command:nsd knot-dnsutils=command:kdig \
	ldnsutils=command:ldns-signzone dnsperf=command:dnsperf openssl=command:openssl \
	python3-dnspython=python:dns.message python3-prometheus-client=python:prometheus_client.openmetrics.parser \
	curl=command:curl fstrm-bin=command:fstrm_capture dnstap-ldns=command:dnstap-ldns \
	redis-server=command:redis-server redis-tools=command:redis-cli man-db=command:man
FUZZ_NEEDS := clang=command:clang libclang-rt-dev=fuzzer:clang luajit=command:luajit lua-posix=lua:posix
BENCH_NEEDS := $(RUN_NEEDS) libknot-dev=pc:libknot libldns-dev=pc:ldns luajit=command:luajit lua-posix=lua:posix \
	lua-socket=lua:socket dnsperf=command:dnsperf valgrind=command:valgrind
FORMAT_NEEDS := clang-format=command:clang-format

# Administrators' programs (knotd, nsd) are not on everyone's path.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# $(call need,LIST): installs what is missing of it; where there is no apt, says what to install.
define need
@missing=; \
for need in $(1); do \
	package=$${need%%=*}; check=$${need#*=}; name=$${check#*:}; \
	case $$check in \
	command:*) command -v $$name ;; \
	pc:*) pkg-config --exists $$name ;; \
	header:*) echo "#include <$$name>" | cc -E - ;; \
	lua:*) luajit -e "require '$$name'" ;; \
	python:*) /usr/bin/python3 -c "import $$name" ;; \
	fuzzer:*) echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | \
		$$name -fsanitize=fuzzer,address -x c -o /dev/null - ;; \
	esac >/dev/null 2>&1 || missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
if ! command -v apt-get >/dev/null; then \
	echo "missing (by their Debian names):$$missing" >&2; \
	echo "install them with this system's package manager, then try again" >&2; exit 1; \
fi; \
sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
if [ -n "$$sudo" ] && ! command -v sudo >/dev/null; then \
	echo "missing:$$missing" >&2; echo "as root: apt-get install -y$$missing" >&2; exit 1; \
fi; \
echo "installing$$missing"; \
$$sudo apt-get update -q && \
$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing || exit 1; \
for server in knot nsd redis-server; do \
	case "$$missing " in *" $$server "*) ! [ -d /run/systemd/system ] || $$sudo systemctl disable --now $$server ;; esac; \
done
endef

.PHONY: all debug run test tsan fuzz bench soak install format lint docs clean
.PHONY: build-needs run-needs test-needs fuzz-needs bench-needs format-needs release

all: build-needs
	@$(MAKE) --no-print-directory release

release:
	cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build $(BUILD) -j$(JOBS)

debug: build-needs
	cmake -S . -B $(BUILD)/debug -DCMAKE_BUILD_TYPE=Debug -DSANITIZE=ON
	cmake --build $(BUILD)/debug -j$(JOBS)

run: build-needs run-needs
	@$(MAKE) --no-print-directory release
	$(BUILD)/moondns -s scripts/spoof.lua

test: build-needs test-needs
	@$(MAKE) --no-print-directory release debug
	cmake --build $(BUILD)/debug -j$(JOBS) --target units fuzz_targets reference
	@spec/run $(BUILD)

TSAN_SPECS := spec/core/shared_store_spec.c spec/core/rollout_spec.c spec/proxy/workers_spec.lua \
	spec/proxy/reload_spec.lua spec/proxy/signals_spec.lua spec/proxy/shared_redis_spec.lua \
	spec/proxy/metrics_spec.lua spec/proxy/dnstap_spec.lua

tsan: build-needs test-needs
	cmake -S . -B $(BUILD)/tsan/debug -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTHREAD_SANITIZE=ON
	cmake --build $(BUILD)/tsan/debug -j$(JOBS) --target moondns shared_store_spec rollout_spec
	@TSAN_OPTIONS=suppressions=$(CURDIR)/spec/support/tsan.supp spec/run $(BUILD)/tsan $(TSAN_SPECS)

fuzz: build-needs fuzz-needs
	cmake -S . -B $(BUILD)/clang -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DFUZZ=ON -DSANITIZE=ON
	cmake --build $(BUILD)/clang -j$(JOBS) --target fuzz_targets
	@spec/fuzz/run $(BUILD)/clang/fuzz $(BUILD)/fuzz $(FUZZ_TARGETS)

bench: build-needs bench-needs
	@$(MAKE) --no-print-directory release
	cmake --build $(BUILD) -j$(JOBS) --target benchmarks
	@spec/bench/run $(BUILD) $(BENCH_PARTS)

soak: build-needs test-needs
	@$(MAKE) --no-print-directory release
	cmake --build $(BUILD) -j$(JOBS) --target soak_load
	@SOAK_SECONDS=$(SOAK_SECONDS) SOAK_RATE=$(SOAK_RATE) SOAK_UPSTREAMS=$(SOAK_UPSTREAMS) SOAK_WORKERS=$(SOAK_WORKERS) \
		spec/soak/run $(BUILD)

install: all
	DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX)

C_FILES = $(shell find core lua spec docs -name '*.[ch]')

format: format-needs
	clang-format -i $(C_FILES)

# Every warning is an error here, in the shipped build and in the one with sanitizers.
lint: build-needs format-needs
	clang-format --dry-run -Werror $(C_FILES)
	cmake -S . -B $(BUILD)/lint -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-Werror
	cmake --build $(BUILD)/lint -j$(JOBS)

# docs/api.template is the part that people write; the tables come from the binding.
docs: all
	cmake --build $(BUILD) -j$(JOBS) --target reference
	$(BUILD)/reference docs/api.template > $(BUILD)/api.md
	cp $(BUILD)/api.md docs/api.md

clean:
	rm -rf $(BUILD)

build-needs:
	$(call need,$(BUILD_NEEDS))
run-needs: build-needs
	$(call need,$(RUN_NEEDS))
test-needs: build-needs
	$(call need,$(TEST_NEEDS))
fuzz-needs: build-needs
	$(call need,$(FUZZ_NEEDS))
bench-needs: build-needs
	$(call need,$(BENCH_NEEDS))
format-needs:
	$(call need,$(FORMAT_NEEDS))
