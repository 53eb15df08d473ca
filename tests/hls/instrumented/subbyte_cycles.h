// Counts the iterations of the loop of the one process that runs; SUBBYTE_CYCLE() is called first in each of them.
#ifndef TESTS_HLS_SUBBYTE_CYCLES_H
#define TESTS_HLS_SUBBYTE_CYCLES_H

namespace subbyte_cycles {

inline long long& iteration() {
    static long long number = -1;
    return number;
}

}  // namespace subbyte_cycles

#define SUBBYTE_CYCLE() (++subbyte_cycles::iteration())
#define SUBBYTE_PROCESS(name, ...) __VA_ARGS__
#define SUBBYTE_DATAFLOW_END() ((void)0)
#define SUBBYTE_DEPTH(stream, words) ((void)0)

#endif  // TESTS_HLS_SUBBYTE_CYCLES_H
