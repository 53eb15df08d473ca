"""csim/Makefile and CMakeLists.txt: C simulation with g++ alone."""

from __future__ import annotations

MAKEFILE = """\
# C simulation of @TOP@ with a C++14 compiler; no HLS tool is needed.
#
#   make csim            every stream between processes is compared with its golden vectors
#   make csim-sanitize   the same under the address and undefined-behaviour sanitizers
#   make cycles          processes with clocks, FIFOs of the design's depths: cycles.json, stalls, high-water marks
#   make clean
#
# AP_TYPES=/path takes ap_int.h from there: from an HLS tool's include folder, or from ap_types. ARGUMENTS=3 runs 3
# samples; of cycles also ARGUMENTS="3 report.json depths.txt".
CXX ?= g++
CXXFLAGS ?= -O2
AP_TYPES ?= ap_types
ARGUMENTS ?=

BUILD := build$(if $(filter ap_types,$(AP_TYPES)),,-ap_types)
# Headers of others are not ours to warn about.
WARNINGS := $(if $(filter ap_types,$(AP_TYPES)),-Wall -Wno-unknown-pragmas,-w)
FLAGS := -std=c++14 $(WARNINGS) -I../include -I../kernels -I../src -I../tb -Iinclude -isystem $(AP_TYPES)
# ap_private.h of ap_types shifts negative values to the left, as all compilers take it.
SANITIZERS := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all \\
\t$(if $(filter ap_types,$(AP_TYPES)),,-fno-sanitize=shift)
VARIANTS := csim csim-sanitize cycles

csim: FURTHER := -DSUBBYTE_PROBES
csim-sanitize: FURTHER := -DSUBBYTE_PROBES $(SANITIZERS)
cycles: FURTHER := -DSUBBYTE_HLS_CYCLES

.PHONY: $(VARIANTS) clean
.SECONDARY:
$(VARIANTS): %: $(BUILD)/%/tb
\t./$(BUILD)/$@/tb ../tb/golden $(ARGUMENTS)

$(BUILD)/%/tb: $(BUILD)/%/top.o $(BUILD)/%/bench.o
\t$(CXX) $(CXXFLAGS) $(FURTHER) -o $@ $^

$(BUILD)/%/top.o: ../src/@NAME@_top.cpp
\t@mkdir -p $(@D)
\t$(CXX) $(FLAGS) $(CXXFLAGS) $(FURTHER) -MMD -c -o $@ $<

$(BUILD)/%/bench.o: ../tb/tb_@NAME@.cpp
\t@mkdir -p $(@D)
\t$(CXX) $(FLAGS) $(CXXFLAGS) $(FURTHER) -MMD -c -o $@ $<

-include $(wildcard $(BUILD)/*/*.d)

clean:
\trm -rf build build-ap_types cycles.json
"""

CMAKE = """\
# C simulation of @TOP@: `cmake -B build && cmake --build build --target csim`; also csim-sanitize and cycles.
cmake_minimum_required(VERSION 3.13)
project(@NAME@_csim CXX)
set(CMAKE_CXX_STANDARD 14)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(AP_TYPES ${CMAKE_CURRENT_SOURCE_DIR}/csim/ap_types CACHE PATH "where ap_int.h lies")

function(simulation variant)
  add_executable(@NAME@_${variant} EXCLUDE_FROM_ALL src/@NAME@_top.cpp tb/tb_@NAME@.cpp)
  target_include_directories(@NAME@_${variant} PRIVATE include kernels src tb csim/include)
  target_include_directories(@NAME@_${variant} SYSTEM PRIVATE ${AP_TYPES})
  target_compile_options(@NAME@_${variant} PRIVATE -Wno-unknown-pragmas ${ARGN})
  target_link_libraries(@NAME@_${variant} PRIVATE ${ARGN})
  add_custom_target(${variant} COMMAND @NAME@_${variant} ${CMAKE_CURRENT_SOURCE_DIR}/tb/golden)
endfunction()

simulation(csim -DSUBBYTE_PROBES)
simulation(csim-sanitize -DSUBBYTE_PROBES -g -fsanitize=address,undefined -fno-sanitize-recover=all)
simulation(cycles -DSUBBYTE_HLS_CYCLES)
"""


def makefile(name: str, top: str) -> bytes:
    """csim/Makefile."""
    return MAKEFILE.replace("@NAME@", name).replace("@TOP@", top).encode()


def cmake_lists(name: str, top: str) -> bytes:
    """CMakeLists.txt."""
    return CMAKE.replace("@NAME@", name).replace("@TOP@", top).encode()
