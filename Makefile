# The front door. `make run` and `make test` install what is missing and do everything else too.
BUILD ?= build

.PHONY: all debug
all: deps
	cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) -j2

debug: deps
	cmake -S . -B $(BUILD)/debug -DCMAKE_BUILD_TYPE=Debug -DSANITIZE=ON
	cmake --build $(BUILD)/debug -j2

.PHONY: deps
deps:
