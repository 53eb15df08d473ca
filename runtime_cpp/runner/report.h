/* What the runner prints: one JSON object. */
#ifndef SUBBYTE_RUNNER_REPORT_H
#define SUBBYTE_RUNNER_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "subbyte/subbyte_model.h"

/* run_ns: `runs` times of an inference, which are sorted here, and listed where `times` is not 0.
 * step_ns: null, or [profiled][step_count] times.
 * Prints {model, target, digest, board, features, threads, samples, runs, min_ns, p10_ns, median_ns, p90_ns, arena_bytes,
 * scratch_bytes, weights_bytes, run_ns: null or [times], steps: null or [{name, sources, kernel, macs, bytes, tiles,
 * median_ns}]}. board: what the device tree calls the machine, "" where it has none; features: the processor's. */
void print_report(const subbyte_model* model, int32_t threads, size_t samples, int64_t* run_ns, size_t runs, int times,
                  const int64_t* step_ns, size_t profiled);

#endif
