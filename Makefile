# The short way in; Meson does the work. `make help` says what there is.
#
#   PHOTOS=DIR      the folder that `make run` indexes
#   DATA=DIR        where it keeps its index
#   LISTEN=H:P      where it serves
#   WERROR=true     a compiler warning stops the build
#   SECONDS=N       how long `make fuzz` spends on each target

BUILD ?= build
DATA ?= lookalike-data
LISTEN ?= 127.0.0.1:8080
WERROR ?= false
SECONDS ?= 60
PREFIX ?= /usr/local

# Set up a build folder once, then build it: $(call build,FOLDER,MESON OPTIONS)
define build
	@[ -e $(1)/build.ninja ] || meson setup $(1) --prefix=$(PREFIX) $(2)
	@ninja -C $(1)
endef
sanitized = -Dbuildtype=debugoptimized -Db_lundef=false -Dtests=enabled

.PHONY: help run test bench soak asan tsan fuzz tokenizers parity lint format install clean

help:
	@echo 'make run       install what is missing, build, index PHOTOS=DIR, serve on $(LISTEN)'
	@echo 'make test      the same up to the build, then every test'
	@echo 'make bench     measure speed and memory'
	@echo 'make soak      100,000 embeddings: does memory stay flat? (minutes)'
	@echo 'make asan      the unit tests under the address and undefined-behaviour sanitizers'
	@echo 'make tsan      the unit tests under the thread sanitizer'
	@echo 'make fuzz      feed damaged input to every parser, SECONDS=60 for each'
	@echo 'make parity    compare embeddings with PyTorch, bytes to vectors (5 GB of tools; half an hour)'
	@echo 'make tokenizers  compare the tokenizers with those that others use, on 12,000 texts'
	@echo 'make lint      check format, includes and the usual mistakes'
	@echo 'make format    put the C files into the format that lint checks'
	@echo 'make install   install program, library, header, manual page (PREFIX=/usr/local)'
	@echo 'make clean     remove what was built (.deps and the data folder stay)'

run:
	@tools/setup run
	$(call build,$(BUILD),-Dwerror=$(WERROR))
	@tools/run $(BUILD)/lookalike '$(DATA)' '$(LISTEN)' '$(PHOTOS)'

test:
	@tools/setup test
	@! [ -e $(BUILD)/build.ninja ] || [ -e $(BUILD)/tests ] || \
		meson setup --reconfigure $(BUILD) -Dtests=enabled
	$(call build,$(BUILD),-Dwerror=$(WERROR) -Dtests=enabled)
	@tools/run-tests $(BUILD)

bench:
	@tools/setup bench
	$(call build,$(BUILD),-Dwerror=$(WERROR))
	@bench/run $(BUILD)

soak:
	@tools/setup bench
	$(call build,$(BUILD),-Dwerror=$(WERROR))
	@ninja -C $(BUILD) bench/soak
	@$(BUILD)/bench/soak

asan:
	@tools/setup test
	$(call build,build-asan,$(sanitized) -Db_sanitize=address$(,)undefined)
	@tools/run-tests --unit build-asan

tsan:
	@tools/setup test
	$(call build,build-tsan,$(sanitized) -Db_sanitize=thread)
	@tools/run-tests --unit build-tsan

fuzz:
	@tools/setup lint
	@[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz \
		-Dbuildtype=debugoptimized -Db_lundef=false -Dfuzz=enabled -Dtests=disabled
	@ninja -C build-fuzz
	@tools/fuzz build-fuzz $(SECONDS)

tokenizers:
	@tools/setup tokenizers
	@tools/setup test
	$(call build,$(BUILD),-Dwerror=$(WERROR) -Dtests=enabled)
	@.deps/tokenizers/bin/python tests/tokenizers/compare --build '$(BUILD)'

parity:
	@tools/setup export
	$(call build,$(BUILD),-Dwerror=$(WERROR))
	@.deps/export/bin/python tools/parity '$(BUILD)'

lint:
	@tools/setup lint
	@tools/lint

format:
	@tools/setup lint
	@git ls-files -z '*.[ch]' | xargs -0 .deps/lint/bin/clang-format -i

install:
	@tools/setup run
	$(call build,$(BUILD),-Dwerror=$(WERROR))
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-asan build-tsan build-fuzz

, := ,
