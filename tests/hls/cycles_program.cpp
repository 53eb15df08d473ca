// Processes that only move words, by iterations read from a file, in the cycle mode of C simulation. tests/hls/cycles.py
// writes the file and reads the report. Words are counted up; one out of order ends the program with status 2.
//
//   cycles_program DESIGN FRAMES DEPTHS REPORT TRACE
//
// DESIGN: `stream NAME DEPTH` and `process NAME LATENCY ITERATIONS`, each followed by its `in STREAM WORDS i0 i1 ...` and
// `out STREAM WORDS i0 i1 ...`, names in quotes.
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iomanip>
#include <map>
#include <string>
#include <vector>

#include "subbyte_hls.h"

struct Port {
    hls::stream<ap_uint<16> >* stream;
    std::vector<int> iterations;
    std::size_t next;  // word of this frame
    unsigned moved;

    bool moves_in(int iteration) {
        if (next == iterations.size() || iterations[next] != iteration) return false;
        ++next;
        return true;
    }
};

struct Loop {
    std::string name;
    std::string call;
    int iterations;
    std::vector<Port> inputs, outputs;
};

// What a deadlock leaves unfinished holds no memory.
static void run_loop(Loop& loop) {
    for (Port& port : loop.inputs) port.next = 0;
    for (Port& port : loop.outputs) port.next = 0;
    for (int i = 0; i < loop.iterations; ++i) {
        SUBBYTE_CYCLE();
        for (Port& port : loop.inputs)
            if (port.moves_in(i) && port.stream->read() != ap_uint<16>(port.moved++)) std::exit(2);
        for (Port& port : loop.outputs)
            if (port.moves_in(i)) port.stream->write(ap_uint<16>(port.moved++));
    }
}

int main(int, char** arguments) {
    std::ifstream file(arguments[1]);
    std::deque<hls::stream<ap_uint<16> > > streams;
    std::map<std::string, hls::stream<ap_uint<16> >*> stream_of;
    std::map<std::string, int> depth_of;
    std::deque<Loop> loops;
    std::string kind, name;
    while (file >> kind >> std::quoted(name)) {
        if (kind == "stream") {
            streams.emplace_back(name);
            stream_of[name] = &streams.back();
            file >> depth_of[name];
        } else if (kind == "process") {
            loops.push_back({name, name + "(", 0, {}, {}});
            int latency;
            file >> latency >> loops.back().iterations;
            subbyte_cycles::set_latency(name.c_str(), latency);
        } else {
            int words;
            file >> words;
            Port port = {stream_of.at(name), std::vector<int>(words), 0, 0};
            for (int& iteration : port.iterations) file >> iteration;
            (kind == "in" ? loops.back().inputs : loops.back().outputs).push_back(port);
            loops.back().call += name + ", ";
        }
    }
    subbyte_cycles::read_depths(arguments[3]);
    subbyte_cycles::set_report(arguments[4]);
    subbyte_cycles::set_trace(arguments[5]);
    for (int frame = 0; frame < std::atoi(arguments[2]); ++frame) {
        for (auto& item : depth_of) SUBBYTE_DEPTH(*stream_of.at(item.first), item.second);
        for (Loop& loop : loops)
            subbyte_cycles::start_process(loop.name.c_str(), loop.call.c_str(), [&loop] { run_loop(loop); });
        SUBBYTE_DATAFLOW_END();
    }
    return subbyte_cycles::finish();
}
